"""Decoding JPEG frames (ISO/IEC 10918-1) by libjpeg-turbo: lossy of 8 and 12 bits, and lossless."""

from __future__ import annotations

from functools import cache

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import Decoder, DecodeRunner

from sscdl.dicom.codestream import codestream_of

SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
# What pydicom asks of a module that decodes: by syntax, what must be installed.
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("imagecodecs",))


def is_available(syntax: str) -> bool:
    """Tell pydicom whether ``syntax`` can be decoded here."""
    return syntax in DECODER_DEPENDENCIES


@cache
def jpeg_decoder(syntax: uid.UID) -> Decoder:
    """Return pydicom's decoder of one of ``SYNTAXES``, with libjpeg-turbo for its frames.

    It is not the one that pydicom hands out, which takes what happens to be installed: lossy frames
    differ by one stored value from one library to the next.
    """
    decoder = Decoder(syntax)
    decoder.add_plugin("imagecodecs", (__name__, "decode_frame"))
    return decoder


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Return the samples of a frame as they are stored, pixel by pixel, for pydicom.

    They have a byte each, or two in the machine's order if there are more than eight bits of them,
    or the file says that there are; colours are not converted. ``runner`` says how many samples a
    pixel has. Raises RuntimeError, of a kind of imagecodecs, if the frame cannot be decoded.
    """
    # Frames of a later standard are not what the syntax says, but they can be read.
    coded = codestream_of(frame)
    standard = coded.standard if coded else ""
    words: np.ndarray
    if standard == "JPEG-LS":
        words = imagecodecs.jpegls_decode(frame)
    elif standard == "JPEG 2000":
        words = imagecodecs.jpeg2k_decode(frame)
    else:
        space = "GRAYSCALE" if runner.samples_per_pixel == 1 else "YCBCR"
        words = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)
    if words.itemsize == 1 and runner.bits_allocated == 16:
        words = words.astype(np.uint16)  # a frame of few bits in a file that has room for more
    return words.tobytes()
