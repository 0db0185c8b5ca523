"""Small DICOM files and archives made on the spot, for the tests of the input side."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

PATIENT_NAME = "Planted^Jane Q"
LABELS = ("negative", "typical", "indeterminate", "atypical")
STUDY_HEADER = (
    "id",
    "Negative for Pneumonia",
    "Typical Appearance",
    "Indeterminate Appearance",
    "Atypical Appearance",
)
IMAGE_HEADER = ("id", "boxes", "label", "StudyInstanceUID")


def write_dicom(path: Path, stored: np.ndarray, *, bits: int | None = None, **fields) -> Path:
    """Write stored values (H, W) as explicit little endian; ``fields`` set or (None) drop tags."""
    allocated = stored.dtype.itemsize * 8
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "CR"
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = "PLANTED-0815"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = allocated
    dataset.BitsStored = bits or allocated
    dataset.HighBit = (bits or allocated) - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW" if allocated == 16 else "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    with disable_value_validation():
        for keyword, value in fields.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(path, enforce_file_format=True)
    return path


def write_archive(root: Path, images: list[tuple[str, str, str]], *, dicom: bool = True) -> Path:
    """Write an archive of (study, image, label); an image's pixels depend on its place in the list.

    Without ``dicom`` the image files are empty: enough for what only lists them.
    """
    studies, rows = {}, []
    for number, (study, image, label) in enumerate(images):
        path = root / "train" / study / "series" / f"{image}.dcm"
        if dicom:
            pixels = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) + np.uint8(number)
            write_dicom(path, pixels, PatientID=f"ID-{study}", PatientAge="045Y", PatientSex="F")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        studies[study] = label
        rows.append((f"{image}_image", "", "none 1 0 0 1 1", study))
    write_table(root / "train_image_level.csv", IMAGE_HEADER, rows)
    one_hot = [
        (f"{study}_study", *(int(label == name) for name in LABELS))
        for study, label in studies.items()
    ]
    write_table(root / "train_study_level.csv", STUDY_HEADER, one_hot)
    return root


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
