"""Where the predictions lie that a table is made from, and how columns of theirs begin.

Imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sscdl.errors import InputError

# Folders in predictions/.
OWN, SHOWN, PROBE, UNTRAINED, FAITHFULNESS = "", "shown", "probe", "untrained", "faithfulness"
FEW_LABELS = "few_labels"
OF_MODELS = (OWN, SHOWN, FAITHFULNESS, FEW_LABELS)  # those whose files are of one model each
# Before the name of a class: the AIL of that class's map. "ail_" alone would make a class named low
# or random mean two things.
OF_CLASS = "ail_of_"
CALLED = "called_"  # before the name of a finding: whether an exported model says that it is there
NETWORK = "network"  # a random network's number, in the rows of such a network alone
_FOLDERS = {
    "4.15_ail_overview": (OWN, UNTRAINED),
    "attention": (OWN, UNTRAINED),
    "cross_variants": (OWN, SHOWN, UNTRAINED),
    "faithfulness": (FAITHFULNESS,),
    "few_labels": (FEW_LABELS,),
    "finding_few_labels": (FEW_LABELS,),
    "finding_attention": (OWN, UNTRAINED),
    "shortcut": (OWN, UNTRAINED),
    "linear_probe": (PROBE,),
}
FOLDERS = tuple(dict.fromkeys(folder for folders in _FOLDERS.values() for folder in folders))


def folders_of(table: str) -> tuple[str, ...]:
    """Return in which folders of ``predictions/`` the files lie that ``table`` is made from."""
    return _FOLDERS.get(table, (OWN,))


def of_other_studies(
    results: Path, studies: Iterable[str], models: Iterable[tuple[str, str, int]]
) -> dict[str, list[Path]]:
    """Return the files of the studies beside this one that predict its models, by study.

    ``results`` is the folder of this study, beside which the others lie; ``models`` are its
    (variant, curriculum, seed). Raises InputError for a study that has none of them, or is this
    one.
    """
    wanted = list(dict.fromkeys((variant, curriculum) for variant, curriculum, _ in models))
    found = {}
    for study in studies:
        folder = results.parent / study / "predictions"
        if study == results.name:
            raise InputError(f"results.beside: {study} is this study itself; name others")
        found[study] = [
            path
            for variant, curriculum in wanted
            for path in sorted(folder.glob(f"{variant}.{curriculum}.s*.csv"))
        ]
        if not found[study]:
            raise InputError(
                f"results.beside: {folder} has no predictions of this study's models; run that "
                "study first, or take it off the list"
            )
    return found
