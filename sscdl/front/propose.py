"""What the columns of somebody's table probably mean, by their names and by what is in them.

A proposal is sure where name and contents agree, or where only one column can be meant.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sscdl.csv_rows import is_number, plain_number
from sscdl.dicom import terms
from sscdl.front.look import Folder, Table

MOST_CLASSES, FEWEST_IMAGES = 5, 10  # of what is taken for classes without asking
MOST_LABELS = 30  # different texts of a column of labels
# What says that nothing is known, in plain letters.
_NOT_KNOWN = frozenset(
    ["na", "nan", "null", "nil", "none", "unknown", "unk", "undetermined", "uncertain", "unclear"]
    + ["missing", "notavailable", "notapplicable", "notknown", "nd", "tbd"]
)
# What is drawn on a radiograph, and is none.
DRAWN = re.compile(
    r"mask|heat[_-]?map|annotation|contour|segmentation|overlay|(?<![a-z0-9])segs?(?![a-z0-9])",
    re.I,
)
# Shares of a column's texts that must name files, so that others may be lost; and of the rows that
# must name different ones, as labels 0 and 1 may be names of files, too.
_FILES, _DIFFERENT = 0.5, 0.1
_SEPARATORS = ("|", ";", ",")
_LABEL = re.compile(
    r"(image|study)?(label|class|diagnosis|finding|category|target|outcome|disease|pathology)"
    r"(e?s|label|labels|name)?|diagnoses|categories|dx|y"
)
# An index alone is the number of a row.
_FILE = re.compile(
    r"(image|img|dicom|png)?(file|path|filename|filepath)|(image|img|dicom|png)(index|id)"
    r"|image|img|file.*|fname"
)
# What is said of a patient, in plain letters: no column of these is who it is.
SAID_OF_PATIENTS = {
    "sex": "sex|gender",
    "age": "age(years|inyears)?",
    "race": "race|ethnicity",
}
# What columns are called that are about other things than what is seen.
_NAMES = {
    **{what: f"(patient)?({words})" for what, words in SAID_OF_PATIENTS.items()},
    "view": "view(position)?|projection|appa",
    "split": "(data)?(split|fold|set|subset|partition)",
    "others": "view.*|.*(view|position|projection)|frontallateral|modality|manufacturer|site|"
    "hospital|(image)?(width|height)|followup|laterality",
}
# Whether a text of a column is understood, of those that a study file may name.
_UNDERSTOOD: dict[str, Callable[[str], bool]] = {
    "sex": lambda text: terms.sex(text) != terms.OTHER,
    "age": lambda text: terms.years(text) <= terms.OLDEST,
    "view": lambda text: terms.view(text) != terms.OTHER,
}


@dataclass(frozen=True)
class Proposal:
    """Columns that may be meant, the likeliest first, and whether it can be no other.

    ``why`` says what makes that unsure, where it can be said.
    """

    columns: tuple[str, ...]
    sure: bool
    why: str = ""

    @property
    def first(self) -> str:
        """Return the likeliest column, '' if there is none."""
        return self.columns[0] if self.columns else ""


def file_column(table: Table, folder: Folder) -> Proposal:
    """Return which columns name image files of the folder; those that name most come first.

    Those of masks and the like come last, and are never sure. Of several, the one that is called as
    a column of files is. Numbers, which may be those of rows and of patients, are it only if so
    called, and only where no other texts are.
    """
    found = {name: folder.share_named(table.counts[name]) for name in table.columns}
    number = {name: share * len(table.counts[name]) for name, share in found.items()}
    least = _DIFFERENT * table.rows
    likely = [n for n in table.columns if found[n] >= _FILES and number[n] >= least]
    texts = [name for name in likely if not all(map(is_number, table.counts[name]))]
    likely = texts or likely
    images = [name for name in likely if not (is_drawn(name) or _mostly_drawn(table, name))]
    images.sort(key=lambda name: (-number[name], not _FILE.fullmatch(plain(name))))
    called_so = [name for name in images if _FILE.fullmatch(plain(name))]
    twice = [name for name in table.doubled if _FILE.fullmatch(plain(name))]
    only = images if len(likely) == 1 and texts else called_so
    first = only if len(only) == 1 and not twice else []
    why = f"{', '.join(map(repr, likely))} name image files" if likely and not first else ""
    why += f", and {twice[0]!r} is there twice" if twice else ""
    return Proposal(tuple(dict.fromkeys([*first, *images, *likely])), bool(first), why)


def partial_column(table: Table, folder: Folder) -> tuple[str, int]:
    """Return the column that names most image files, and how many texts of it do: '', 0 if none.

    Numbers may be anything else as well: they count in columns that are called as those of files.
    """
    found = {}
    for name, counts in table.counts.items():
        whole = bool(_FILE.fullmatch(plain(name)))
        found[name] = folder.named(text for text in counts if whole or not is_number(text))
    best = max(found, key=lambda name: found[name], default="")
    return (best, found[best]) if best and found[best] else ("", 0)


def label_column(table: Table, taken: Iterable[str]) -> Proposal:
    """Return which columns may hold what is to be learnt; sure is the only one that is called so.

    It is not where another one is called so, of more texts than labels have, or there twice.
    """
    named: list[str] = []
    others: list[str] = []
    doubts = [f"{name!r} is there twice" for name in table.doubled if _LABEL.fullmatch(plain(name))]
    for name in table.columns:
        if name in taken or about_others(name):
            continue
        number = len(parts(table, name, separator(table, name)))
        so = bool(_LABEL.fullmatch(plain(name)))
        if 2 <= number <= MOST_LABELS:
            (named if so else others).append(name)
        elif so and number > MOST_LABELS:
            doubts.append(f"{name!r} has {number:,} different texts")
    if not doubts and not named:
        doubts = ["no column of few texts is called as a label"]
    why = "; ".join(doubts) or f"{' and '.join(map(repr, named))} are called so"
    return Proposal((*named, *others), len(named) == 1 and not doubts, why)


def describing_columns(table: Table, taken: Iterable[str]) -> dict[str, str]:
    """Return the columns of sex, age and view: those that are called so and mostly understood."""
    found: dict[str, str] = {}
    for what, understood in _UNDERSTOOD.items():
        for name in table.columns:
            counts = table.counts[name]
            if name in taken or not counts or not called(name, what):
                continue
            known = sum(count for text, count in counts.items() if understood(text))
            if 2 * known > counts.total():
                found.setdefault(what, name)
    return found


def separator(table: Table, column: str) -> str:
    """Return what separates several texts in the cells of a column, '' if each holds one.

    A bar has no other use; a semicolon or comma may stand within a text, but where it divides
    cells into fewer different texts than there are different cells.
    """
    counts = table.counts[column]
    for sign in _SEPARATORS:
        if any(sign in text for text in counts) and (
            sign == "|" or len(parts(table, column, sign)) < len(counts)
        ):
            return sign
    return ""


def parts(table: Table, column: str, sign: str) -> Counter[str]:
    """Return in how many rows each text of a column is, with cells divided at ``sign``.

    All ways to write a number are one text, the plainest that is there: readers of archives do not
    tell 1 and 1.0 apart.
    """
    found: Counter[str] = Counter()
    ways: dict[str, set[str]] = defaultdict(set)
    for text, count in table.counts[column].items():
        cell = [one.strip() for one in (text.split(sign) if sign else [text])]
        for one in cell:
            ways[plain_number(one)].add(one)
        for number in {plain_number(one) for one in cell}:
            found[number] += count
    written = {one: one if one in texts else min(texts) for one, texts in ways.items()}
    return Counter({written[one]: count for one, count in found.most_common()})


def class_names(values: Iterable[str], column: str) -> dict[str, str]:
    """Return a name for each value, of the letters that names of classes have, none twice.

    A value without a letter (0, 1) is named after its column; the sign of -1 is written as a word.
    """
    names: dict[str, str] = {}
    for value in values:
        own = own_name(value)
        whole = own if re.search("[A-Za-z]", value) else f"{own_name(column)}_{own}"
        short = whole.strip("_")[:28].strip("_").lower() or "class"
        name, number = short, 2
        while name in names.values():
            name, number = f"{short}_{number}", number + 1
        names[value] = name
    return names


def about_others(name: str) -> bool:
    """Return whether a column is, by its name, about other things than what is seen, or who."""
    return any(called(name, what) for what in _NAMES)


def called(name: str, what: str) -> bool:
    """Return whether a column is called so: sex, age, race, view, split, or others."""
    return bool(re.fullmatch(_NAMES[what], plain(name)))


def plain(name: str) -> str:
    """Return a column's name in small letters, without spaces and signs."""
    return re.sub(r"[\W_]+", "", name).lower()


def is_drawn(name: str) -> bool:
    """Return whether a name is one of masks, contours or others that are drawn on radiographs."""
    return bool(DRAWN.search(name))


def _mostly_drawn(table: Table, name: str) -> bool:
    """Return whether most files of a column are, by their paths, drawn on radiographs."""
    return 2 * sum(map(is_drawn, table.counts[name])) > len(table.counts[name])


def no_answer(value: str) -> str:
    """Return why a text may say that it is not known, '' if it does not."""
    if is_number(value) and value.startswith("-"):
        return f"{value!r} is negative, as what is uncertain or missing often is"
    if plain(value) in _NOT_KNOWN or not re.search(r"\w", value):
        return f"{value!r} may mean that it is not known"
    return ""


def own_name(value: str) -> str:
    """Return the letters and digits of a value that names of classes have, '' if it has none."""
    signed = re.sub(r"^-(?=\d)", "minus ", value.strip())
    return re.sub("[^A-Za-z0-9]+", "_", signed).strip("_")
