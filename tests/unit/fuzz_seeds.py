"""Valid image files of many kinds, small, and where their elements stand: what is then damaged."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

# Texts that identify a patient; none of them may turn up in what is reported about a file.
PLANTED = {
    "PatientName": "Zyxwvut^Qpalzm",
    "PatientID": "MRN-7734119",
    "PatientBirthDate": "19310227",
    "PatientComments": "Wubbleford jotted",
    "InstitutionName": "Saint Frobnicus",
    "StationName": "KZXROOM9",
}
SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
)
# Small files that pydicom and pydicom-data bring along, of kinds that nothing here can write.
_SHIPPED = (
    "693_J2KI.dcm", "JPEG-lossy.dcm", "JPEG-LL.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm",
    "MR_small_padded.dcm",
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_small_odd.dcm", "image_dfl.dcm", "emri_small_RLE.dcm", "rtdose_1frame.dcm",
    "UN_sequence.dcm", "badVR.dcm", "reportsi.dcm",
)  # fmt: skip


@dataclass(frozen=True)
class Element:
    """Where an element of the data set stands in the file: offsets and sizes in bytes."""

    start: int
    value: int
    length: int

    @property
    def short(self) -> bool:
        """Return whether the length has two bytes, not four."""
        return self.value - self.start == 8


@dataclass(frozen=True)
class Seed:
    """A valid file; ``data``, its content, is inflated where that is ``deflated``.

    ``elements`` end at the first one of undefined length. ``frames`` is where pixels in fragments
    begin, 0 if they are not compressed.
    """

    name: str
    data: bytes
    meta_end: int
    deflated: bool
    big: bool
    explicit: bool
    elements: tuple[Element, ...] = ()
    frames: int = 0

    def packed(self, data: bytes) -> bytes:
        """Return ``data``, a changed content, as it stands in a file."""
        if not self.deflated:
            return data
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = squeeze.compress(data[self.meta_end :]) + squeeze.flush()
        return data[: self.meta_end] + body + b"\0" * (len(body) % 2)


def _dataset(pixels: np.ndarray, bits: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = (
        uid.DigitalXRayImageStorageForPresentation,
        "1.2.3",
    )
    for keyword, text in PLANTED.items():
        setattr(dataset, keyword, text)
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.PatientSex, dataset.PatientAge = "F", "045Y"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored = 8 * pixels.itemsize, bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "1", PLANTED["PatientComments"]
    dataset.ProcedureCodeSequence = [code]
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    return dataset


def _gray(number: int) -> Dataset:
    """Return a picture with one of several sets of pixel and display fields."""
    y, x = np.mgrid[0:40, 0:48]
    noise = np.random.default_rng(number).integers(0, 200, y.shape)
    values = (40 * y + 40 * x + noise) % 4096
    if number % 4 == 0:
        return _dataset((values >> 4).astype("u1"), 8)
    if number % 4 == 1:
        dataset = _dataset(values.astype("<u2"), 12)
        dataset.WindowCenter, dataset.WindowWidth = [2000, 1800], [3000, 2500]
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-100"
        dataset.PixelPaddingValue = 0
    elif number % 4 == 2:
        dataset = _dataset((values - 2048).astype("<i2"), 16)
        dataset.ImagerPixelSpacing = [0.1, 0.2]
    else:
        dataset = _dataset((values >> 4).astype("u1"), 8)
        for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
            item = Dataset()
            item.add_new("LUTDescriptor", "US", [256, 0, 8])
            item.add_new("LUTData", "US", [entry**2 // 255 for entry in range(256)])
            if sequence == "ModalityLUTSequence":
                item.ModalityLUTType = "US"
            setattr(dataset, sequence, [item])
    return dataset


def _file(dataset: Dataset, syntax: str) -> bytes:
    if syntax == uid.JPEGBaseline8Bit:
        picture = np.frombuffer(dataset.PixelData, "u1").reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = encapsulate([cv2.imencode(".jpg", picture)[1].tobytes()])
        dataset["PixelData"].VR = "OB"
    elif uid.UID(syntax).is_encapsulated:
        options = {uid.JPEG2000: {"j2k_cr": [4]}, uid.JPEGLSNearLossless: {"jls_error": 2}}
        dataset.compress(syntax, generate_instance_uid=False, **options.get(syntax, {}))
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    if syntax == uid.ExplicitVRBigEndian and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@cache
def seeds() -> tuple[Seed, ...]:
    """Return the valid files, from 0.3 to 120 kB."""
    made = [(syntax, number) for syntax in SYNTAXES for number in range(4)]
    made.append((uid.JPEGBaseline8Bit, 0))
    found = [_seed(f"{syntax.name} {n}", _file(_gray(n), syntax)) for syntax, n in made]
    for name in _SHIPPED:
        path = get_testdata_file(name, download=False)
        if path is not None:
            with open(path, "rb") as file:
                found.append(_seed(name, file.read()))
    return (*found, *_pictures())


def _pictures() -> list[Seed]:
    """Return files that are not DICOM; nothing is known of their elements."""
    deep = np.frombuffer(_gray(1).PixelData, "<u2").reshape(40, 48)
    flat = np.frombuffer(_gray(0).PixelData, "u1").reshape(40, 48)
    found = []
    for name, values, options in (
        ("PNG", flat, {}), ("PNG", deep, {}), ("JPEG", flat, {}), ("TIFF", deep, {}),
        ("TIFF", flat, {"compression": "tiff_lzw"}), ("TIFF", flat, {"compression": "jpeg"}),
        ("TIFF", deep, {"compression": "tiff_adobe_deflate"}),
        ("TIFF", flat, {"compression": "packbits"}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, format=name, **options)
        data = buffer.getvalue()
        found.append(Seed(name, data, 0, deflated=False, big=False, explicit=True))
    return found


def _seed(name: str, data: bytes) -> Seed:
    syntax = dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta.TransferSyntaxUID
    # The group length is the first element of the meta information and counts from its own end.
    meta_end = 144 + struct.unpack_from("<I", data, 140)[0]
    if syntax.is_deflated:
        data = data[:meta_end] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[meta_end:])
    frames = re.search(rb"\xe0\x7f\x10\x00O[BW]\0\0\xff\xff\xff\xff", data)
    big, explicit = not syntax.is_little_endian, not syntax.is_implicit_VR
    elements, position, order = [], meta_end, ">" if big else "<"
    while position + 12 <= len(data):
        value, kind = position + 8, data[position + 4 : position + 6]
        if not explicit:
            length = struct.unpack_from(f"{order}I", data, position + 4)[0]
        elif kind in (b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UN", b"UT", b"UC", b"UR"):
            value, length = position + 12, struct.unpack_from(f"{order}I", data, position + 8)[0]
        else:
            length = struct.unpack_from(f"{order}H", data, position + 6)[0]
        elements.append(Element(position, value, min(length, len(data) - value)))
        if length > len(data) - value:  # undefined: all that follows is taken to be in it
            break
        position = value + length
    return Seed(
        name, data, meta_end, deflated=syntax.is_deflated, big=big, explicit=explicit,
        elements=tuple(elements), frames=frames.end() if frames else 0,
    )  # fmt: skip
