"""Write the file of a study, after a look at the images and their table.

python -m sscdl new [FOLDER] [--table CSV | --no-table] [--file COLUMN] [--label COLUMN]
                    [--patient COLUMN | --no-patient] [--quick]
                    [--classes VALUE | NAME=VALUE ... | --findings VALUE | NAME=VALUE ...]
                    [--unknown each|one] [--alike one|several]

FOLDER holds the images (DICOM, PNG, JPEG, TIFF) at any depth, and a CSV file with a row for each;
without one, folders that are called after labels do.
On a terminal, what options do not tell is proposed and asked; elsewhere it is taken where sure.
Several values may be of one class: --classes healthy=normal ill=pneumonia ill=tuberculosis
Where an image may have several labels, each is told by itself: --findings Edema Effusion
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sscdl.command_line import called, command_parser
from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.finding_labels import positives
from sscdl.front.allowed import shares, wrong_study
from sscdl.front.ask import Asker
from sscdl.front.columns import image_table, only_table, table_settings
from sscdl.front.look import Folder, look
from sscdl.front.paths import folder_settings
from sscdl.front.spellings import EACH, ONE, SEVERAL
from sscdl.front.splits import further_tables, given_split, split_of_tables
from sscdl.front.study_file import Draft, slug, study_text
from sscdl.study.config import SIIM_LABELS
from sscdl.study.reading import read_config
from sscdl.study.values import whole_path
from sscdl.words import many, nearest

_MOST_KINDS = 8  # of problems that are told


def main(arguments: list[str] | None = None) -> int:
    """Run the command: 0 if a study file was written."""
    options = _parser().parse_args(arguments)
    asker = Asker(sys.stdin.isatty())
    # What is wrong with a name need not wait until an archive is read, and all is asked.
    _check_names(options)
    root = _root(options, asker)
    named = options.study or slug(options.output.stem if options.output else root.name)
    if options.study or not asker.terminal:
        _refuse_existing(_output(options, named))
    folder = look(root)
    print(f"{folder.root}: {folder.told}")
    dataset = _dataset(folder, options, asker)
    images, counted, said, labels = _counted(dataset)
    split, further = given_split(dataset, folder, labels, asker), further_tables(dataset, folder)
    if further:
        names = ", ".join(further)
        print(f"Tables of the same columns: {names} (not read; take away the # of `further`)")
    tested = split_of_tables(dataset, further, folder)
    if dataset["layout"] == "siim":
        images = _classes_of_challenge(images, options)
    ask = asker.terminal and not options.study
    study = _asked_name(options, asker, named) if ask else named
    output = _output(options, study)
    _refuse_existing(output)
    draft = Draft(
        study=study,
        file=str(output),
        dataset=dataset,
        images=images,
        counted=counted,
        total=len(folder.paths),
        quick=options.quick,
        headers=folder.all_dicom,
        split=split,
        further=further,
        split_of_tables=tested,
        several=bool(options.findings),
    )
    with atomic_path(output) as temporary:
        temporary.write_text(study_text(draft), encoding="utf-8")
        read_config([temporary], folders=True)
    for line in (*(f"  {name}: {counted[name]}" for name in images), *said):
        print(line)
    print(f"{output} is written. Read it, and go on with")
    run = f"{called()} run {shlex.quote(str(output))}"
    print(f"  {run} plan    (what would be trained, and how long it takes)")
    print(f"  {run}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, "new")
    parser.add_argument("folder", nargs="?", type=Path, help="folder of the images")
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--table", type=Path, metavar="CSV", help="the table of the images")
    table.add_argument(
        "--no-table", action="store_true", help="there is none: the images' paths tell the labels"
    )
    parser.add_argument("--file", metavar="COLUMN", help="column that names the image files")
    patient = parser.add_mutually_exclusive_group()
    patient.add_argument("--patient", metavar="COLUMN", help="column that tells the patient")
    patient.add_argument(
        "--no-patient",
        action="store_true",
        help="no column does: DICOM headers tell, other files are of a patient each",
    )
    parser.add_argument(
        "--unknown",
        choices=(EACH, ONE),
        help="images whose patient is 'unknown', 'nan', -1: of another patient each, or of one",
    )
    parser.add_argument(
        "--alike",
        choices=(ONE, SEVERAL),
        help="ids of patients that are the same number, such as 7, 007 and 7.0: one, or several",
    )
    parser.add_argument("--label", metavar="COLUMN", help="column that holds what is to be learnt")
    learnt = parser.add_mutually_exclusive_group()
    learnt.add_argument(
        "--classes", nargs="+", metavar="VALUE", help="values that are classes, or NAME=VALUE"
    )
    learnt.add_argument(
        "--findings",
        nargs="+",
        metavar="VALUE",
        help="values of which an image may have several, or NAME=VALUE: each is told by itself",
    )
    parser.add_argument("--study", metavar="NAME", help="name of the study (default: the folder's)")
    parser.add_argument(
        "--quick", action="store_true", help="small images and few epochs: a try, no results"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the file to write (default: NAME.yaml)"
    )
    return parser


def _root(options: argparse.Namespace, asker: Asker) -> Path:
    """Return the folder of the images, from the top of the file system."""
    if options.folder:
        root = Path(os.path.abspath(options.folder))
        if fault := _wrong_root(root):
            raise InputError(fault)
        if not root.is_dir() and (near := nearest(root.name, _folders(root.parent))):
            raise InputError(f"{root}: there is no such folder; did you mean {near!r}?")
        return root
    if not asker.terminal:
        raise InputError(f"the folder of the images is missing: `{called()} new FOLDER`")

    def found(answer: str) -> Path:
        return Path(os.path.abspath(Path(answer).expanduser()))

    def wrong(answer: str) -> str | None:
        return _wrong_root(found(answer)) if found(answer).is_dir() else "there is no such folder"

    return found(asker.ask("Folder of the images", "", wrong))


def _folders(above: Path) -> list[str]:
    """Return the names of the folders in one, [] if they cannot be told."""
    try:
        return sorted(one.name for one in above.iterdir() if one.is_dir())
    except OSError:
        return []


def _wrong_root(root: Path) -> str | None:
    """Return why a study file cannot name a folder, None if it can."""
    try:
        whole_path(str(root))
    except ValueError as error:
        fault = str(error).partition(";")[0]
        return f"{fault}; rename the folder, or give a link without such signs"
    return None


def _check_names(options: argparse.Namespace) -> None:
    """Raise InputError if a name that is told cannot be that of a study, or of a new file."""
    if options.study is not None and (fault := wrong_study(options.study)):
        raise InputError(f"--study {options.study}: {fault}")
    if options.output:
        _refuse_existing(options.output)


def _asked_name(options: argparse.Namespace, asker: Asker, proposal: str) -> str:
    """Return the name of the study that is answered, of which there is no file yet."""

    def wrong(answer: str) -> str | None:
        if fault := wrong_study(answer):
            return fault
        output = _output(options, answer)
        return f"{output} is there already; give another name" if output.exists() else None

    return asker.ask("Name of the study", "" if wrong(proposal) else proposal, wrong)


def _output(options: argparse.Namespace, study: str) -> Path:
    """Return the file that is written."""
    return options.output or Path(f"{study}.yaml")


def _refuse_existing(output: Path) -> None:
    if output.exists():
        raise InputError(f"{output}: is there already; give another --output, or move it away")


def _dataset(folder: Folder, options: argparse.Namespace, asker: Asker) -> dict[str, Any]:
    """Return the settings of an archive: by its layout, its table, or its paths."""
    if folder.challenge and options.table is None and not options.no_table:
        return _of_challenge(folder, options)
    table = image_table(folder, options, asker)
    if table is None and options.findings:
        raise InputError(
            "--findings: need a table that says which of them an image shows (--table CSV); paths "
            "tell one label of each"
        )
    if table is None and (by_path := folder_settings(folder, options, asker)):
        return by_path
    return table_settings(table or only_table(folder, options), folder, options, asker)


def _of_challenge(folder: Folder, options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of an archive in the layout of the challenge."""
    for flag in ("file", "patient", "label", "findings", "unknown", "alike"):
        if getattr(options, flag) is not None:
            raise InputError(
                f"--{flag}: {folder.root} is laid out as the SIIM-FISABIO-RSNA challenge, whose "
                "columns are known; leave it out, or give --table for another table"
            )
    return {"layout": "siim", "root": folder.root, "id_key": "sscdl"}


def _counted(
    dataset: Mapping[str, Any],
) -> tuple[dict[str, int], dict[str, str], list[str], dict[str, str]]:
    """Return how many images each class has, the same in words, what else is to be said; labels.

    The last are those of image files, by their paths.

    The archive is read as a run reads it, so that what would stop a run stops this.
    """
    # These take a second, which mistakes need not wait for.
    from sscdl.archives.cohorts import MAIN
    from sscdl.archives.reading import read_index
    from sscdl.images.classes import check_patients

    index, several = read_index(dataset), dataset.get("several", False)
    named = bool(dataset.get("columns", {}).get("patient"))
    named |= any("(?P<patient>" in one for one in dataset.get("patterns", ()))
    if named and (index.images["patient_id"] != "").all():  # else headers tell some of them
        main = index.images.assign(cohort=MAIN)
        check_patients(main, shares(), by="patient", several=several)
    images, counted = {}, {}
    for name in dataset.get("labels", SIIM_LABELS):
        has = [
            name in (positives(label) if several else [label]) for label in index.images["label"]
        ]
        rows = index.images[has]
        images[name] = len(rows)
        if rows.empty and dataset["layout"] != "siim":
            raise InputError(
                f"class {name}: its rows lead to no image files below {dataset['root']}; leave it "
                "out, or give the folder that has its files"
            )
        known = named and (rows["patient_id"] != "").all()
        patients = f" of {many(rows['patient_id'].nunique(), 'patient')}" if known else ""
        counted[name] = f"{many(len(rows), 'image')}{patients}"
    said = [*index.warnings, *_each_kind(index.problems.values)]
    # A side of a split that is given need not have all findings.
    meant = index.images[index.images["label"].isin([] if several else images)]
    labels = dict(zip(meant["path"], meant["label"], strict=True))
    return images, counted, said, labels


def _each_kind(problems: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence for each kind of (file, reason): many of one would hide the others."""
    alike: dict[str, list[str]] = defaultdict(list)
    for where, reason in problems:
        alike[re.sub(r"^line \d+: ", "", reason)].append(f"{reason} ({where})")
    kinds = list(alike.values())
    said = []
    for some in kinds[:_MOST_KINDS]:
        more = f", and {len(some) - 1:,} more of that kind (a run lists all)"
        said.append(some[0] + (more if len(some) > 1 else ""))
    if left := sum(map(len, kinds[_MOST_KINDS:])):
        said.append(f"and {left:,} more of other kinds (a run lists all)")
    return said


def _classes_of_challenge(images: Mapping[str, int], options: argparse.Namespace) -> dict[str, int]:
    """Return the classes of an archive in the challenge's layout with their numbers of images."""
    there = {name: number for name, number in images.items() if number}
    told = options.classes or list(there)
    for name in told:
        if name not in there:
            near = nearest(name, there)
            hint = f"; did you mean {near!r}?" if near else ""
            raise InputError(
                f"--classes {name}: no image has this label; there are: {_few(there)}{hint}"
            )
    if len(set(told)) < 2:
        raise InputError(f"a study tells at least two classes apart; there are: {_few(there)}")
    return {name: there[name] for name in dict.fromkeys(told)}


def _few(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number:,})" for name, number in counts.items())
