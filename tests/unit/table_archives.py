"""Folders of empty image files with a table, as the tests of the table layout read them."""

from __future__ import annotations

import csv

from sscdl.archives.reading import read_index

NIH = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View")
NIH_ROWS = [
    ("00000001_000.png", "No Finding", "1", "58", "M", "PA"),
    ("00000001_001.png", "Mass|Pneumonia", "1", "59", "M", "AP"),
    ("00000002_000.png", "Mass", "2", "045Y", "F", "PA"),
]
NIH_SETTINGS = {
    "columns": {
        "file": "Image Index",
        "patient": {"column": "Patient ID"},
        "study": None,
        "sex": {"column": "Patient Gender", "pattern": None},
        "age": "Patient Age",
        "view": "View",
    },
    "labels": {
        "negative": {"column": "Finding Labels", "values": ["No Finding"]},
        "typical": {"column": "Finding Labels", "values": ["Pneumonia"], "separator": "|"},
        "atypical": None,
    },
}


def archive(folder, header, rows, files, **settings):
    """Write empty image files and their table; return the description of the archive."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    dataset = {"layout": "table", "root": str(folder), "table": "table.csv", "id_key": "k"}
    return {**dataset, "columns": {"file": header[0]}, **settings}


def nih(folder, rows=NIH_ROWS, **settings):
    """Make an archive like ChestX-ray14: bare file names, the files in several folders."""
    files = [f"images_00{n}/images/{row[0]}" for n, row in enumerate(NIH_ROWS, start=1)]
    return archive(folder, NIH, rows, files, **{**NIH_SETTINGS, **settings})


def images(dataset):
    """Return the rows of the index by path."""
    return read_index(dataset).images.set_index("path").to_dict("index")


def problems(dataset):
    """Return (file, reason) of all that the index reports."""
    return list(read_index(dataset).problems.itertuples(index=False, name=None))


CHEXPERT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Pneumonia")
CHEXPERT_ROWS = [
    (f"CheXpert-v1.0/train/{path}", *values)
    for path, *values in (
        ("patient00001/study1/view1_frontal.jpg", "Female", "68", "Frontal", "AP", "1.0", ""),
        ("patient00002/study1/view1_frontal.jpg", "Male", "0", "Frontal", "PA", "", "1.0"),
        ("patient00002/study1/view2_lateral.jpg", "Male", "87", "Lateral", "", "", "1.0"),
        ("patient00002/study2/view1_frontal.jpg", "Unknown", "87", "Frontal", "LL", "0.0", "-1.0"),
    )
]
CHEXPERT_SETTINGS = {
    "columns": {
        "file": "Path",
        "patient": {"column": "Path", "pattern": r"patient(\d+)"},
        "study": {"column": "Path", "pattern": r"study\d+"},
        "sex": "Sex",
        "age": "Age",
        "view": "AP/PA",
    },
    "keep": {"column": "Frontal/Lateral", "values": ["Frontal"]},
    "labels": {
        "negative": {"column": "No Finding", "values": [1]},
        "typical": {"column": "Pneumonia", "values": ["1"]},
    },
}


def chexpert(folder, start="", only=slice(None), **settings):
    """Make an archive like CheXpert: paths with a folder too many, below the folder ``start``."""
    files = [start + row[0].removeprefix("CheXpert-v1.0/") for row in CHEXPERT_ROWS[only]]
    return archive(folder, CHEXPERT, CHEXPERT_ROWS, files, **{**CHEXPERT_SETTINGS, **settings})
