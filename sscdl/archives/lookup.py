"""Finding the files that a table names, when its paths do not start where the archive's do.

Whatever a table says, only files that the walk through the archive has found can come out: no entry
leads anywhere else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sscdl.archives.listing import stem

NOT_THERE = "no such file below the root"
_LONGEST = 4096  # characters of a path that systems can open
_DEEPEST = 64  # parts of a name that are compared; more would only cost time

# A path, and how well a name fits it: the number of parts that agree, whether the suffix does, and
# the number of parts that the name has besides, negative.
_Match = tuple[str, tuple[int, bool, int]]


def find_files(names: Iterable[str], paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the path that each of ``names`` means, and why the others mean none.

    ``paths`` are those of the archive's files, relative to its root. A name is such a path; or one
    with folders before it (as in tables made elsewhere); or its end, down to the bare file name, is
    the end of just one path. At last the suffix may be missing in the name. If several names lead
    to one file, it goes to the one that fits best, and to none if there is no such.
    """
    reasons: dict[str, str] = {}
    spellings: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
        if not parts:
            reasons[name] = "names no file"
        elif len(name) > _LONGEST or not name.isprintable() or ".." in parts:
            reasons[name] = "file name is not one below the root"
        else:
            spellings[parts[-_DEEPEST:]].append(name)

    known = set(paths)
    matches: dict[tuple[str, ...], _Match] = {}
    why: dict[tuple[str, ...], str] = {}
    for parts in spellings:
        for start in range(len(parts)):
            path = "/".join(parts[start:])
            if path in known:
                matches[parts] = path, (len(parts) - start, True, -start)
                break
    _match_ends([parts for parts in spellings if parts not in matches], paths, matches, why)
    _settle(matches, why)
    found = {name: matches[parts][0] for parts in matches for name in spellings[parts]}
    return found, reasons | {name: why[parts] for parts in why for name in spellings[parts]}


def _match_ends(
    names: list[tuple[str, ...]],
    paths: Sequence[str],
    matches: dict[tuple[str, ...], _Match],
    why: dict[tuple[str, ...], str],
) -> None:
    """Add the names whose end is the end of just one path to ``matches``, the others to ``why``."""
    longest = max(map(len, names), default=0)
    last = {parts[-1] for parts in names}
    # None stands for the end of several paths.
    ends: dict[bool, dict[str, str | None]] = {True: {}, False: {}}
    for path in paths if names else ():
        file = path.rpartition("/")[2]
        for whole, text in ((True, file), (False, stem(file))):
            if text not in last:
                continue
            folders = path.split("/")[:-1]
            for depth in range(min(longest, len(folders) + 1)):
                end = "/".join([*folders[len(folders) - depth :], text])
                ends[whole][end] = None if end in ends[whole] else path
    for parts in names:
        why[parts] = NOT_THERE
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            whole = end in ends[True]
            if not whole and end not in ends[False]:
                continue
            found = ends[whole][end]
            if found is None:
                why[parts] = "fits several files below the root"
            else:
                matches[parts] = found, (len(parts) - start, whole, -start)
                del why[parts]
            break


def _settle(matches: dict[tuple[str, ...], _Match], why: dict[tuple[str, ...], str]) -> None:
    """Leave each file to the name that fits it best; move the other names to ``why``."""
    claims: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for parts, (path, _) in matches.items():
        claims[path].append(parts)
    for rivals in claims.values():
        if len(rivals) == 1:
            continue
        best = max(matches[parts][1] for parts in rivals)
        first = [parts for parts in rivals if matches[parts][1] == best]
        for parts in rivals:
            if len(first) > 1:
                why[parts] = "leads to the same file as a row with another file name"
            elif parts != first[0]:
                why[parts] = NOT_THERE
            else:
                continue
            del matches[parts]
