"""Reading the index of an archive that has no table: its files' paths say what is known of them.

That is the habit of torchvision's ``ImageFolder`` (a folder for each label), and of much that is
published. Patterns say what the parts of paths mean (``sscdl.archives.folder_settings``). What
makes labels or patients doubtful stops the run; what concerns one file is recorded and the run goes
on without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.archives.entries import Place, Report, Row, entry, report_files, with_id
from sscdl.archives.folder_settings import (
    GROUPS,
    LABEL,
    SPLIT,
    first_match,
    read_parts,
    read_settings,
    shown,
)
from sscdl.archives.folder_words import amid_words
from sscdl.archives.index import Index, make_index
from sscdl.archives.listing import scan_pictures


def read_index(dataset: Mapping[str, Any]) -> Index:
    """Read the folder that ``dataset`` describes (see ``read_settings``).

    Ids are those of layout ``table``. With ids ``hash`` the report does not name a file, but gives
    its number in the order of their paths. Raises InputError as the readers of settings and paths
    do, and if the folder is not there or has no image file.
    """
    settings = read_settings(dataset)
    listing = scan_pictures(settings.root)
    paths = [path for path, _ in listing.files]
    called = {path: shown(settings, path, number) for number, path in enumerate(paths, start=1)}
    parts = read_parts(settings, paths, listing.problems)
    report = Report()
    report_files(listing, settings.ids, report)
    meaning = {text: name for name, texts in settings.labels.items() for text in texts}
    rows: list[tuple[str, Row]] = []
    for path in paths:
        place = Place(called[path], 0)
        if path not in parts:
            report.row(place, "no pattern is found in its path; left out")
            continue
        texts = parts[path]
        label = meaning.get(texts[LABEL], "")
        if "patient" in settings.groups and not texts["patient"]:
            report.row(place, "its path names no patient; one of its own")
        rows.append((path, report.described(place, path, label, texts)))
        for name in (LABEL, SPLIT):
            if not texts[name]:
                report.empty[name].append(place)
    named = {
        name: f"folders.patterns: the group {name!r}" for name in GROUPS if name in settings.groups
    }
    report.check(named, len(rows), what="files", advice="correct the patterns")
    unlabelled = sum(not row.label for _, row in rows)
    if settings.labels and unlabelled:
        report.other(".", f"files whose label is none of folders.labels: {unlabelled}")
    if left := [path for path in paths if path not in parts]:
        report.warnings.append(
            f"folders.patterns: found in {len(rows)} of {len(paths)} paths; the others are left "
            f"out, for example {called[left[0]]}"
        )
    matches = (
        (path, called[path], *first) for path in paths if (first := first_match(settings, path))
    )
    report.warnings += amid_words(matches, (LABEL, SPLIT))
    if "patient" not in settings.groups:
        reason = "no group for the patient: each PNG, JPEG or TIFF file counts as another patient"
        report.other(".", reason)
    id_key, ids, patients = settings.id_key, settings.ids, "patient" in settings.groups
    entries = [
        entry(row, image, path, id_key=id_key, ids=ids, patients=patients)
        for row, image, path in with_id(rows, ids, id_key, report)
    ]
    return make_index(entries, report.problems(), report.warnings)
