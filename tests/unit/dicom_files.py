"""Small DICOM files and archives made on the spot, for the tests of the input side."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

PATIENT_NAME = "Planted^Jane Q"
RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
LABELS = ("negative", "typical", "indeterminate", "atypical")
STUDY_HEADER = (
    "id",
    "Negative for Pneumonia",
    "Typical Appearance",
    "Indeterminate Appearance",
    "Atypical Appearance",
)
IMAGE_HEADER = ("id", "boxes", "label", "StudyInstanceUID")


def rounded(unit: np.ndarray, top: int = 255) -> np.ndarray:
    """Return gray values, up to 255 (uint8) or 65535, for levels in [0, 1]."""
    return np.rint(top * np.asarray(unit)).astype(np.uint8 if top == 255 else np.uint16)


def write_dicom(
    path: Path,
    stored: np.ndarray,
    *,
    bits: int | None = None,
    syntax: UID = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    vr: str | None = None,
    **fields,
) -> Path:
    """Write stored values (H, W) or (H, W, 3); ``fields`` set tags or, if None, drop them.

    ``syntax`` is a native transfer syntax, or one that pydicom can compress to, or any one with
    ``frame``, the encoded pixels. ``vr`` is the value representation of PixelData.
    """
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
    if stored.ndim == 3:
        dataset.SamplesPerPixel = 3
        dataset.PhotometricInterpretation = "RGB"
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated = allocated
    dataset.BitsStored = bits or allocated
    dataset.HighBit = (bits or allocated) - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    order = "<" if syntax.is_little_endian else ">"
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OW" if allocated >= 16 else "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    with disable_value_validation():
        for keyword, value in fields.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        if frame is not None:
            dataset.PixelData = encapsulate([frame])
            dataset["PixelData"].VR = "OB"
        elif syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        if vr is not None:
            dataset["PixelData"].VR = vr
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, enforce_file_format=True)
    return path


def lookup_table(entries, first: int, bits: int, *, signed: bool = False) -> list[Dataset]:
    """Return a sequence with one modality or VOI LUT of these entries."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 2**16, first, bits])
    # Values of 64 KiB and more need another length field than US has.
    words = np.asarray(entries, dtype="<u2").tobytes()
    item.add_new(
        "LUTData",
        *(("OW", words) if len(words) >= 2**16 else ("US", [int(entry) for entry in entries])),
    )
    return [item]


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
