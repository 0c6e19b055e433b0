"""One spelling for values that the portal and its users write in several ways.

Values are compared word by word: signs, blanks, case and small words do not count (`ARMED: HANDGUN` is `ARMED -
HANDGUN`), abbreviations that the portal has spelled out over the years are spelled out, and values that it has
renamed get their present name. So the model treats a file of an older year like a present one.
Texts are cut before they are remembered, and few are remembered: both bound the memory on hostile input.
"""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 120  # characters of a value that count
_REMEMBERED = 50_000
_WORD = re.compile(r"[^\W\d_]+|[0-9]+|[$]")

# column → its older values, in words, and what the portal calls the same today
RENAMED = {
    "primary_type": {
        "CRIM SEXUAL ASSAULT": "CRIMINAL SEXUAL ASSAULT",
        "NON CRIMINAL SUBJECT SPECIFIED": "NON CRIMINAL",
    },
    "description": {
        "AGGRAVATED PO HANDS NO MINOR INJURY": "AGGRAVATED P O HANDS FISTS FEET NO MINOR INJURY",
        "AGGRAVATED PO HANDS SERIOUS INJURY": "AGGRAVATED P O HANDS FISTS FEET SERIOUS INJURY",
        "PROTECTED EMPLOYEE HANDS NO MINOR INJURY": "PROTECTED EMPLOYEE HANDS FISTS FEET NO MINOR INJURY",
    },
    "location_description": {
        "RESIDENTIAL YARD FRONT BACK": "RESIDENCE YARD FRONT BACK",
        "PARKING LOT GARAGE NON RESID": "PARKING LOT GARAGE NON RESIDENTIAL",
        "NURSING HOME RETIREMENT HOME": "NURSING RETIREMENT HOME",
        "CTA GARAGE OTHER PROPERTY": "CTA PARKING LOT GARAGE OTHER PROPERTY",
        "VEHICLE OTHER RIDE SERVICE": "VEHICLE OTHER RIDE SHARE SERVICE LYFT UBER ETC",
        "VEHICLE OTHER RIDE SHARE SERVICE E G UBER LYFT": "VEHICLE OTHER RIDE SHARE SERVICE LYFT UBER ETC",
        "DELIVERY TRUCK": "VEHICLE DELIVERY TRUCK",
        "OTHER": "OTHER SPECIFY",
    },
}
# Words of descriptions and places as the portal has abbreviated them; "" is a word that does not count.
_WORDS = {
    "AND": "",
    "OF": "",
    "BY": "",
    "THE": "",
    "AGG": "AGGRAVATED",
    "ASSLT": "ASSAULT",
    "ATT": "ATTEMPT",
    "CRIM": "CRIMINAL",
    "DANG": "DANGEROUS",
    "DEL": "DELIVER",
    "EMP": "EMPLOYEE",
    "FAM": "FAMILY",
    "FIST": "FISTS",
    "GMS": "GRAMS",
    "GRMS": "GRAMS",
    "ID": "IDENTITY",
    "INJ": "INJURY",
    "INST": "INSTRUMENT",
    "INSTR": "INSTRUMENT",
    "MANU": "MANUFACTURE",
    "MBR": "MEMBER",
    "MIN": "MINOR",
    "POS": "POSSESS",
    "POSS": "POSSESS",
    "POSSESSION": "POSSESS",
    "PRO": "PROTECTED",
    "PROP": "PROPERTY",
    "PUBLICWAY": "PUBLIC WAY",
    "SEX": "SEXUAL",
    "STRONGARM": "STRONG ARM",
    "SUP": "SUPPORTED",
    "VEH": "VEHICLE",
    "W": "WITH",
}


def plain(text: str) -> str:
    """Upper case, single spaces."""
    return _plain(text[:LONGEST])


def spelled(column: str, text: str) -> str:
    """A crime type, description or place in its one spelling; "" for a blank."""
    return _spelled(column, text[:LONGEST])


def is_renamed(column: str, text: str) -> bool:
    """Whether a value is one that the portal calls otherwise today."""
    return column in RENAMED and _in_words(column, text[:LONGEST]) in RENAMED[column]


def area(text: str) -> str:
    """A community area as "1".."77" ("8.0" is what a table program makes of 8), else ""."""
    return _area(text[:LONGEST])


@lru_cache(maxsize=_REMEMBERED)
def _plain(text: str) -> str:
    return " ".join(text.upper().split())


@lru_cache(maxsize=_REMEMBERED)
def _spelled(column: str, text: str) -> str:
    words = _in_words(column, text)
    return RENAMED[column].get(words, words)


def _in_words(column: str, text: str) -> str:
    words = _WORD.findall(text.upper())
    if column != "primary_type":
        words = [_WORDS.get(word, word) for word in words]
    return " ".join(word for word in words if word)


@lru_cache(maxsize=_REMEMBERED)
def _area(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return ""
    return str(int(number)) if number.is_integer() and 1 <= number <= 77 else ""
