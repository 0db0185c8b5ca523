"""What coded texts mean, whoever wrote them: a DICOM header or a table of somebody's own.

One vocabulary for both. A text that is there and not understood is OTHER and never what a missing
one is: it may well say that this is no frontal view. Texts themselves are not kept, as free text
can name a patient. Needs only the standard library.
"""

from __future__ import annotations

import math
import re
import unicodedata

OTHER = "OTHER"
OLDEST = 130  # years; what is above is a mistake, as 411 and 155 in ChestX-ray14


def terms(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# PS3.3 C.7.3.1.1.1: defined terms for images, and retired ones.
_MODALITIES = terms("""
    AR BI BMD CR CT CTPROTOCOL DG DMS DX ECG EPS ES GM HD IO IVOCT IVUS KER LEN LS MG MR NM OAM OCT
    OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PT PX RF RG RTDOSE RTIMAGE SC SEG SM TG US VA XA XC
    AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPMAP ST TH VF
""")
# What people write where they know nothing.
_NOTHING = terms("NA NAN NONE NULL UNK UNKNOWN UNSPECIFIED")
_SEXES = {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M", "O": "", "OTHER": ""}  # O: PS3.3 C.7.1.1
# PS3.3 C.8.1.1 (CR) and C.8.11.5 (DX), names for what PS3.16 CID 4010 knows besides, and how people
# write them. They say more than AP or PA beside them: AP LLD is a decubitus view. SUPINE, PORTABLE
# and the like change nothing.
_OTHER_VIEWS = {
    **{name: name for name in terms("LL RL LLD RLD LLO RLO LAO RAO LPO RPO OBLIQUE AXIAL")},
    **dict.fromkeys(terms("LATERAL LAT"), "LATERAL"),
    "LORDOTIC": "AXIAL",
    "OBL": "OBLIQUE",
    "LLAT": "LL",
    "RLAT": "RL",
}
_FRONTAL_VIEWS = {
    **dict.fromkeys(terms("AP ANTEROPOSTERIOR"), "AP"),
    **dict.fromkeys(terms("PA POSTEROANTERIOR"), "PA"),
    # A direction that is not told is no other view.
    "FRONTAL": "",
}
# Several words that say together what none of them says.
_PHRASES = (
    (re.compile(r"\bLEFT (LATERAL )?DECUB\w*"), "LLD"),
    (re.compile(r"\bRIGHT (LATERAL )?DECUB\w*"), "RLD"),
    (re.compile(r"\bDECUB\w*"), OTHER),
    (re.compile(r"\bLEFT LAT(ERAL)?\b"), "LL"),
    (re.compile(r"\bRIGHT LAT(ERAL)?\b"), "RL"),
)
# PS3.16 CID 4010 writes its commonest views in two words, others with points.
_DIRECTIONS = (
    (re.compile(r"\b(ANTERO|ANTERIOR) POSTERIOR\b|\bA P\b"), "AP"),
    (re.compile(r"\b(POSTERO|POSTERIOR) ANTERIOR\b|\bP A\b"), "PA"),
)
_AGE = re.compile(r"(\d{1,5}(?:\.\d*)?)([DWMY]?)")
_AGE_UNITS = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}


def modality(text: str) -> str:
    """Return a term of PS3.3 C.7.3.1.1.1, OTHER for any other text, '' for none."""
    value = text.strip().upper()
    if _says_nothing(value):
        return ""
    return value if value in _MODALITIES else OTHER


def sex(text: str) -> str:
    """Return F or M, '' where the text says that it is another or unknown, OTHER for any other."""
    value = text.strip().upper()
    return "" if _says_nothing(value) else _SEXES.get(value, OTHER)


def view(text: str) -> str:
    """Return the view that a text tells, OTHER for one that is not understood, '' for none.

    It is AP, PA, LL, RL, LLD, RLD, LLO, RLO, LATERAL, LAO, RAO, LPO, RPO, OBLIQUE or AXIAL. A
    frontal view whose direction is not told is '', too.
    """
    plain = unicodedata.normalize("NFKD", text.upper()).encode("ascii", "ignore").decode()
    together = " ".join(re.findall("[A-Z]+", plain))
    for written, direction in _DIRECTIONS:
        together = written.sub(direction, together)
    words = together.split()
    if _says_nothing(text.strip().upper()) or (words and _NOTHING.issuperset(words)):
        return ""
    if words == ["L"]:
        return "LATERAL"
    for phrase, meaning in _PHRASES:
        if phrase.search(together):
            return meaning
    other = {_OTHER_VIEWS[word] for word in words if word in _OTHER_VIEWS}
    if len(other) == 1:
        return other.pop()
    frontal = {_FRONTAL_VIEWS[word] for word in words if word in _FRONTAL_VIEWS} - {""}
    if other or not _FRONTAL_VIEWS.keys() & set(words):
        return OTHER
    return frontal.pop() if len(frontal) == 1 else ""


def years(text: str) -> float:
    """Return the years of a number or of a text such as 045Y, 006M, 003W or 010D (PS3.5 6.2).

    NaN where there is no text, infinity for one that is no age between 0 and ``OLDEST`` years.
    """
    value = text.strip().upper()
    if _says_nothing(value):
        return math.nan
    match = _AGE.fullmatch(value)
    age = float(match[1]) / _AGE_UNITS[match[2]] if match else math.inf
    return age if age <= OLDEST else math.inf


def _says_nothing(text: str) -> bool:
    return not re.search(r"[^\W_]", text) or re.sub(r"[/.]", "", text) in _NOTHING
