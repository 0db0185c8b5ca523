"""Coded texts of a DICOM header, reduced to the vocabularies of the standard.

Coded fields are often filled with free text, and free text can name a patient: only what the
standard defines, and documented spellings of it, passes.
"""

from __future__ import annotations

import math
import re
import unicodedata

from pydicom import Dataset

from sscdl.dicom import terms as vocabulary
from sscdl.dicom.header import item_of, text_of, texts_of
from sscdl.dicom.terms import OTHER, terms

# PS3.16 CID 4010, in SNOMED CT and in the SNOMED RT codes that it replaced.
_VIEW_CODES = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
    "399067008": "LATERAL",
    "R-102CD": "LATERAL",
    "399135007": "LAO",
    "R-10220": "LAO",
    "399356000": "RAO",
    "R-10218": "RAO",
    "R-40985": "RAO",
    "399006002": "LPO",
    "R-10212": "LPO",
    "399038007": "RPO",
    "R-10210": "RPO",
    "399061009": "AXIAL",
    "R-10241": "AXIAL",
    **dict.fromkeys(
        terms("""
            399182000 R-102C1 399184004 R-10238 399236003 R-10234 399312000 R-10208 399059000
            R-10216 260426006 R-40782 260427002 R-40783 399160007 R-10204 399004004 R-10246
        """),
        "OBLIQUE",
    ),
}
# PS3.16 annex L: the defined terms for regions of CID 4031 and for other parts of the body that
# are imaged on their own.
_BODY_PARTS = terms("""
    ABDOMEN ABDOMENPELVIS ACJOINT ADRENAL ANKLE AORTA ARM AXILLA BACK BILEDUCT BLADDER BRAIN BREAST
    BRONCHUS BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN
    CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE
    DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FIBULA FINGER FOOT FOREARM
    GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE
    LARGEINTESTINE LARYNX LEG LIVER LSPINE LSSPINE LUNG MASTOID MAXILLA MEDIASTINUM MOUTH NECK
    NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE OPTICCANAL ORBIT OVARY PANCREAS PAROTID PATELLA
    PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM RIB SCALP SCAPULA SCJOINT SCLERA SCROTUM
    SELLA SESAMOID SHOULDER SIJOINT SKULL SMALLINTESTINE SPINE SPLEEN SSPINE STERNUM STOMACH
    SUBMANDIBULAR TESTIS THIGH THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA
    TSPINE ULNA UPRURINARYTRACT URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
""")
# English, Latin (German, French, Dutch), Spanish and Portuguese, Italian, German, Dutch. Words that
# mean the breast as well (BRUST, BORST) or go with the spine (THORACIC) are left out.
_CHEST_WORDS = terms("CHEST THORAX TORAX TORACE BRUSTKORB BORSTKAS")
# CID 4031 in SNOMED CT and SNOMED RT.
_CHEST_CODES = terms("43799004 51185008 816094009 T-D3000")
# PS3.3 C.7.6.1.1.2 and what the modules of projection radiography add to it; POST_PROCESSED is no
# term of the standard, but common in digital radiographs.
_IMAGE_TYPES = terms("""
    ORIGINAL DERIVED MIXED PRIMARY SECONDARY AXIAL LOCALIZER PANORAMIC TOMOSYNTHESIS GENERATED_2D
    ADDITION SUBTRACTION RESAMPLED POST_PROCESSED
""") | {"SINGLE PLANE", "SINGLE A", "SINGLE B", "BIPLANE A", "BIPLANE B"}


def modality_of(dataset: Dataset) -> str:
    """Return Modality as a term of PS3.3 C.7.3.1.1.1, OTHER for any other text, '' if missing."""
    return vocabulary.modality(text_of(dataset, "Modality"))


def sex_of(dataset: Dataset) -> str:
    """Return PatientSex: F or M, '' if missing, unknown or another, OTHER if not understood."""
    return vocabulary.sex(text_of(dataset, "PatientSex"))


def age_of(dataset: Dataset) -> float:
    """Return PatientAge in years, NaN if it is missing or no age between 0 and 130 years."""
    age = vocabulary.years(text_of(dataset, "PatientAge"))
    return age if math.isfinite(age) else math.nan


def view_of(dataset: Dataset) -> str:
    """Return the view, '' if it is missing, OTHER if it is not understood.

    That is what ViewPosition says (see :func:`sscdl.dicom.terms.view`), or else what
    ViewCodeSequence means (PS3.3 C.8.11.5, PS3.16 CID 4010).
    """
    position = vocabulary.view(text_of(dataset, "ViewPosition"))
    if position not in ("", OTHER):
        return position
    code = _code(dataset, "ViewCode")
    return _VIEW_CODES.get(code, OTHER if code else position)


def body_part_of(dataset: Dataset) -> str:
    """Return BodyPartExamined as a defined term of PS3.16 annex L, 'OTHER' for any other text.

    A text of several words or in another language that has a word for the chest in it, such as
    PORT CHEST or TORAX, is CHEST, unless its words together are another term (CHEST ABDOMEN).
    If there is no text, AnatomicRegionSequence tells CHEST from OTHER; '' without either.
    """
    text = unicodedata.normalize("NFKD", text_of(dataset, "BodyPartExamined").upper())
    words = re.findall("[A-Z]+", text.encode("ascii", "ignore").decode())
    together = "".join(words)
    if together in _BODY_PARTS:
        return together
    if not _CHEST_WORDS.isdisjoint(words):
        return "CHEST"
    if text:
        return "OTHER"
    code = _code(dataset, "AnatomicRegion")
    return "CHEST" if code in _CHEST_CODES else "OTHER" if code else ""


def image_type_of(dataset: Dataset) -> tuple[str, ...]:
    """Return the values of ImageType that the standard defines (PS3.3 C.7.6.1.1.2), in order."""
    values = (value.upper() for value in texts_of(dataset, "ImageType"))
    return tuple(value for value in values if value in _IMAGE_TYPES)


def orientation_of(dataset: Dataset) -> str:
    """Return PatientOrientation as in L\\F, '' if it is not of that form (PS3.3 C.7.6.1.1.1).

    The two parts are the directions of rows and of columns, each one to three of the letters
    A(nterior), P(osterior), R(ight), L(eft), H(ead) and F(oot).
    """
    parts = texts_of(dataset, "PatientOrientation")
    valid = len(parts) == 2 and all(re.fullmatch("[APRLHF]{1,3}", part) for part in parts)
    return "\\".join(parts) if valid else ""


def _code(dataset: Dataset, name: str) -> str:
    item = item_of(dataset, f"{name}Sequence")
    return "" if item is None else text_of(item, "CodeValue")
