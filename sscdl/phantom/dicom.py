"""One synthetic radiograph as a DICOM file, with the variety of a real archive."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

BITS = 12

_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
    uid.JPEGLSLossless,
    uid.DeflatedExplicitVRLittleEndian,
)


def write_dicom(
    path: Path,
    pixels: np.ndarray,
    ids: Mapping[str, str],
    *,
    female: bool,
    age: int,
    ap: bool,
    rng: np.random.Generator,
) -> None:
    """Write one radiograph as a DICOM file.

    ``pixels``: float (H, W) in [0, 1], bright = dense, stored as 12 of 16 bits; ``ids`` has the
    keys patient, study, series and image; ``age`` in years. ``rng`` draws what varies from one
    device to the next: transfer syntax, MONOCHROME1 (a quarter), window and date.
    """
    with warnings.catch_warnings():
        # The challenge keeps its 12 digits in UID fields, which DICOM does not allow.
        warnings.filterwarnings("ignore", message="Invalid value for VR UI")
        dataset = _dataset(pixels, ids, female=female, age=age, ap=ap, rng=rng)
        dataset.save_as(path, enforce_file_format=True)


def _dataset(
    pixels: np.ndarray,
    ids: Mapping[str, str],
    *,
    female: bool,
    age: int,
    ap: bool,
    rng: np.random.Generator,
) -> Dataset:
    """Return the data set of one image in its transfer syntax."""
    top = 2**BITS - 1
    stored = np.round(pixels * top).astype("<u2")
    low, high = float(rng.integers(0, 120)), float(rng.integers(3800, top + 1))
    inverted = rng.random() < 0.25
    if inverted:
        stored = top - stored
        low, high = top - high, top - low
    syntax = _SYNTAXES[rng.integers(len(_SYNTAXES))]

    dataset = Dataset()
    dataset.SOPClassUID = uid.ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = ids["image"]
    dataset.StudyInstanceUID = ids["study"]
    dataset.SeriesInstanceUID = ids["series"]
    dataset.StudyDate = f"2020{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}"
    dataset.StudyTime = "000000"
    dataset.AccessionNumber = ""
    dataset.Modality = "CR"
    dataset.PatientName = "PHANTOM"
    dataset.PatientID = ids["patient"]
    dataset.PatientSex = "F" if female else "M"
    dataset.PatientAge = f"{age:03d}Y"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "AP" if ap else "PA"
    dataset.StudyID = ""
    dataset.InstanceNumber = "1"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = f"{(low + high + 1) / 2:g}"
    dataset.WindowWidth = f"{high - low + 1:g}"
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    # A text will do.
    dataset.file_meta.MediaStorageSOPInstanceUID = ids["image"]  # type: ignore[assignment]
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset
