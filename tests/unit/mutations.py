"""Seeded ways of damaging image files, for the fuzz tests.

A mutant is a function of a seed and its number alone, so that any of them can be made again.
"""

from __future__ import annotations

import io
import math
import random
import struct
import warnings
from collections.abc import Callable

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.encaps import encapsulate, generate_frames

from tests.unit.fuzz_seeds import SYNTAXES, Seed, seeds

_OTHER_SYNTAXES = [*map(str, SYNTAXES), *(f"1.2.840.10008.1.2.4.{n}" for n in
    (50, 51, 57, 70, 92, 102, 201, 202, 203)), "1.2.840.10008.1.2.7.1", "1.2.3"]  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 31, 32, 64, 255, 256, 1000, 30000, 65535)
_TEXTS = (
    "", "0", "-1", "1e308", "-1e308", "1e-320", "nan", "inf", "9" * 16, "1\\2\\3", "abc", "\0\0",
    "1" * 4000, "\\" * 500, "Zyxwvut^Qpalzm", "\N{SNOWMAN}", "0.5\\", "2147483648",
)  # fmt: skip
_COUNTED = (
    "Rows", "Columns", "BitsStored", "BitsAllocated", "HighBit", "SamplesPerPixel",
    "PixelRepresentation", "PlanarConfiguration", "PixelPaddingValue", "SmallestImagePixelValue",
)  # fmt: skip
_WRITTEN = (
    "NumberOfFrames", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept",
    "PhotometricInterpretation", "PresentationLUTShape", "VOILUTFunction", "PatientAge",
    "PatientSex", "ViewPosition", "Modality", "BodyPartExamined", "ImageType", "PixelAspectRatio",
    "PatientOrientation", "SpecificCharacterSet", "PixelSpacing", "ImagerPixelSpacing",
)  # fmt: skip
_KINDS = (
    b"AE", b"AS", b"AT", b"CS", b"DS", b"FD", b"IS", b"LO", b"LT", b"OB", b"OW", b"OF", b"PN",
    b"SH", b"SL", b"SQ", b"SS", b"UC", b"UI", b"UL", b"UN", b"US", b"UT", b"UV", b"ZZ", b"\0\0",
)  # fmt: skip

Random = random.Random


def mutant(seed: int, number: int) -> tuple[str, str, bytes]:
    """Return the kind of damage, the name of the damaged file, and the content of the mutant."""
    rng = Random(f"{seed}-{number}")
    kind = list(MUTATIONS)[number % len(MUTATIONS)]
    chosen = seeds()
    if kind in _FITTING:
        chosen = [found for found in chosen if _FITTING[kind](found)]
    file = rng.choice(chosen)
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        return kind, file.name, MUTATIONS[kind](file, rng)


# Any bytes


def _block(data: bytes, rng: Random) -> tuple[int, int]:
    """Return begin and end of a random piece, short or long, half of them near the beginning."""
    begin = rng.randrange(min(len(data), 2500) if rng.random() < 0.5 else len(data))
    return begin, min(len(data), begin + int(math.exp(rng.uniform(0, math.log(len(data))))))


def _bits(file: Seed, rng: Random) -> bytes:
    data = bytearray(file.data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        data[_block(data, rng)[0]] ^= 1 << rng.randrange(8)
    return file.packed(bytes(data))


def _bytes(file: Seed, rng: Random) -> bytes:
    data = bytearray(file.data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        data[_block(data, rng)[0]] = rng.choice((0, 1, 127, 128, 254, 255, rng.randrange(256)))
    return file.packed(bytes(data))


def _cut(file: Seed, rng: Random) -> bytes:
    data = file.packed(file.data)
    return data[: _block(data, rng)[0]]


def _removed(file: Seed, rng: Random) -> bytes:
    begin, end = _block(file.data, rng)
    return file.packed(file.data[:begin] + file.data[end:])


def _doubled(file: Seed, rng: Random) -> bytes:
    begin, end = _block(file.data, rng)
    return file.packed(file.data[:end] + file.data[begin:])


def _filled(file: Seed, rng: Random) -> bytes:
    begin, end = _block(file.data, rng)
    fill = rng.choice((b"\0", b"\xff", b" ", rng.randbytes(1))) * (end - begin)
    return file.packed(file.data[:begin] + fill + file.data[end:])


def _moved(file: Seed, rng: Random) -> bytes:
    begin, end = _block(file.data, rng)
    rest = file.data[:begin] + file.data[end:]
    place = rng.randrange(len(rest) + 1)
    return file.packed(rest[:place] + file.data[begin:end] + rest[place:])


def _stream(file: Seed, rng: Random) -> bytes:
    """Damage the deflated stream itself."""
    data = bytearray(file.packed(file.data))
    for _ in range(rng.choice((1, 2, 8))):
        data[rng.randrange(file.meta_end, len(data))] = rng.randrange(256)
    return bytes(data)


# Elements


def _patched(file: Seed, place: int, new: bytes) -> bytes:
    return file.packed(file.data[:place] + new + file.data[place + len(new) :])


def _tags(file: Seed, rng: Random) -> bytes:
    """Give two elements each other's tag."""
    one, two = (rng.choice(file.elements).start for _ in range(2))
    data = bytearray(file.data)
    data[one : one + 4], data[two : two + 4] = file.data[two : two + 4], file.data[one : one + 4]
    return file.packed(bytes(data))


def _values(file: Seed, rng: Random) -> bytes:
    """Give an element the value of another, whatever its type."""
    one, two = rng.choice(file.elements), rng.choice(file.elements)
    value = file.data[two.value : two.value + min(one.length, two.length)]
    return _patched(file, one.value, value)


def _kinds(file: Seed, rng: Random) -> bytes:
    return _patched(file, rng.choice(file.elements).start + 4, rng.choice(_KINDS))


def _lengths(file: Seed, rng: Random) -> bytes:
    element, order = rng.choice(file.elements), ">" if file.big else "<"
    length = rng.choice((
        0, 1, element.length + rng.choice((-8, -2, -1, 1, 2, 8)), element.length * 2, 2**31 - 1,
        2**31, 2**32 - 2, 2**32 - 1, rng.randrange(2**16), len(file.data),
    ))  # fmt: skip
    if file.explicit and element.short:
        return _patched(file, element.value - 2, struct.pack(f"{order}H", length & 0xFFFF))
    return _patched(file, element.value - 4, struct.pack(f"{order}I", length & 0xFFFFFFFF))


def _nested(file: Seed, rng: Random) -> bytes:
    """Put a sequence into the file that holds a sequence that holds a sequence and so on."""
    order, depth = ">" if file.big else "<", rng.choice((1, 3, 30, 300, 5000))
    kind = b"SQ\0\0" if file.explicit else b""
    sequence = struct.pack(f"{order}2H", 0x0008, 0x1140) + kind + b"\xff" * 4
    item, item_end, end = (
        struct.pack(f"{order}2HI", 0xFFFE, number, length)
        for number, length in ((0xE000, 2**32 - 1), (0xE00D, 0), (0xE0DD, 0))
    )
    ends = (item_end + end) * rng.choice((depth, depth, depth, 0, depth - 1))
    place = rng.choice(file.elements).start
    return file.packed(file.data[:place] + (sequence + item) * depth + ends + file.data[place:])


# Values that fit their elements, and pixels


def _edited(file: Seed, values: dict[str, bytes]) -> bytes:
    """Return the file with these values, by keyword, of odd length too, in place or added."""
    order = ">" if file.big else "<"
    tags = {tag_for_keyword(keyword): value for keyword, value in values.items()}
    pieces = {tag: _element(file, tag, value) for tag, value in tags.items()}
    for element in file.elements:
        group, number = struct.unpack_from(f"{order}2H", file.data, element.start)
        whole = file.data[element.start : element.value + element.length]
        pieces.setdefault(group << 16 | number, whole)
    return file.packed(file.data[: file.meta_end] + b"".join(pieces[tag] for tag in sorted(pieces)))


def _element(file: Seed, tag: int, value: bytes) -> bytes:
    order = ">" if file.big else "<"
    head = struct.pack(f"{order}2H", tag >> 16, tag & 0xFFFF)
    if not file.explicit:
        return head + struct.pack(f"{order}I", len(value)) + value
    kind = dictionary_VR(tag)[:2].encode()
    return head + kind + struct.pack(f"{order}H", len(value)) + value


def _numbers(file: Seed, rng: Random) -> bytes:
    order = ">" if file.big else "<"
    chosen = rng.sample(_COUNTED, rng.choice((1, 1, 2, 4)))
    return _edited(file, {k: struct.pack(f"{order}H", rng.choice(_NUMBERS)) for k in chosen})


def _texts(file: Seed, rng: Random) -> bytes:
    chosen = rng.sample(_WRITTEN, rng.choice((1, 1, 2, 4)))
    return _edited(file, {keyword: rng.choice(_TEXTS).encode() for keyword in chosen})


def _tables(file: Seed, rng: Random) -> bytes:
    """Give the file lookup tables that do not fit."""
    dataset = dcmread(io.BytesIO(file.packed(file.data)), force=True)
    for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
        item = Dataset()
        descriptor = [rng.choice((0, 1, 16, 255, 65535)) for _ in range(rng.choice((3, 3, 2)))]
        item.add_new("LUTDescriptor", "US", descriptor)
        if rng.random() < 0.8:
            item.add_new("LUTData", "OW", rng.randbytes(2 * rng.choice((0, 1, 16, 255, 500))))
        setattr(dataset, sequence, [item] * rng.choice((0, 1, 1, 2)))
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


def _syntaxes(file: Seed, rng: Random) -> bytes:
    """Name another transfer syntax than that of the file."""
    place = file.data.index(b"\x02\x00\x10\x00UI") + 6
    length = struct.unpack_from("<H", file.data, place)[0]
    name = rng.choice(_OTHER_SYNTAXES).encode()
    name += b"\0" * (len(name) % 2)
    group = struct.unpack_from("<I", file.data, 140)[0] + len(name) - length
    return b"".join((
        file.data[:140], struct.pack("<I", group), file.data[144:place],
        struct.pack("<H", len(name)), name, file.packed(file.data)[place + 2 + length :],
    ))  # fmt: skip


def _codestream(file: Seed, rng: Random) -> bytes:
    """Damage what a decoder gets, in a wrapping that is sound."""
    dataset = dcmread(io.BytesIO(file.data))
    frame = bytearray(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    markers = [place for place in range(len(frame) - 3) if frame[place] == 0xFF]
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        choice = rng.random()
        if markers and choice < 0.4:  # what follows a marker: its length, sizes, tables
            place = rng.choice(markers[:12]) + rng.randrange(1, 24)
        elif choice < 0.8:
            place = rng.randrange(min(len(frame), 150))
        else:
            place = rng.randrange(len(frame))
        if place < len(frame):
            frame[place] = rng.choice((0, 1, 2, 127, 128, 254, 255, rng.randrange(256)))
    if rng.random() < 0.2:
        begin, end = _block(frame, rng)
        del frame[begin:end]
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


def _fragments(file: Seed, rng: Random) -> bytes:
    """Lie about the pieces that compressed pixels come in."""
    items = [
        place for place in range(file.frames, len(file.data) - 8)
        if file.data.startswith(b"\xfe\xff", place) and file.data[place + 3] == 0xE0
    ]  # fmt: skip
    place = rng.choice(items)
    if rng.random() < 0.3:
        return file.data[:place] + rng.randbytes(8) + file.data[place + 8 :]
    length = rng.choice((0, 1, 2, 7, 8, 2**16, 2**31, 2**32 - 2, 2**32 - 1, rng.randrange(2000)))
    return _patched(file, place + 4, struct.pack("<I", length))


MUTATIONS: dict[str, Callable[[Seed, Random], bytes]] = {
    "bits flipped": _bits, "bytes changed": _bytes, "cut off": _cut, "block removed": _removed,
    "block doubled": _doubled, "block filled": _filled, "block moved": _moved,
    "deflated stream": _stream, "tags swapped": _tags, "values swapped": _values,
    "types changed": _kinds, "lengths": _lengths, "nested sequences": _nested,
    "numbers": _numbers, "texts": _texts, "lookup tables": _tables, "transfer syntax": _syntaxes,
    "codestream": _codestream, "codestream again": _codestream, "fragments": _fragments,
}  # fmt: skip
# What a kind of damage needs of a file; any byte may be damaged in all of them.
_FITTING: dict[str, Callable[[Seed], bool]] = {
    **dict.fromkeys(
        ("tags swapped", "values swapped", "types changed", "lengths", "nested sequences",
         "numbers", "texts", "lookup tables", "transfer syntax"), lambda file: bool(file.elements)),
    **dict.fromkeys(("codestream", "codestream again", "fragments"), lambda file: file.frames > 0),
    "deflated stream": lambda file: file.deflated,
}  # fmt: skip
