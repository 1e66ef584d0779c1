"""What a wrong value was probably meant to be: a guess for a person to confirm, which never adds precision."""

import datetime as dt
import difflib
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from zoneinfo import available_timezones

import pycountry

from ocpi.schemas.types import DATE_TIME, INT, LANGUAGE

MAX_LENGTH = 50  # nothing that is meant is longer
_COMMON_NAMES = {
    "IEC_62196_T1": "type1 t1 j1772 saej1772 yazaki",
    "IEC_62196_T1_COMBO": "ccs1 ccstype1 combo1 type1combo",
    "IEC_62196_T2": "type2 t2 mennekes iec621962",
    "IEC_62196_T2_COMBO": "ccs ccs2 ccstype2 ccscombo2 combo combo2 type2combo",
    "AVAILABLE": "free vrij beschikbaar idle",
    "CHARGING": "occupied inuse busy bezet",
    "OUTOFORDER": "faulted fault defect broken",
    "INOPERATIVE": "unavailable offline maintenance",
}
_WORDS = {name: word for word, names in _COMMON_NAMES.items() for name in names.split()}
_ALPHA_3 = {"nederland": "NLD", "holland": "NLD", "belgië": "BEL", "belgie": "BEL", "duitsland": "DEU"}
for _country in pycountry.countries:
    _ALPHA_3 |= dict.fromkeys(map(str.lower, (_country.name, _country.alpha_2, _country.alpha_3)), _country.alpha_3)
_ALPHA_2 = {country.alpha_3: country.alpha_2 for country in pycountry.countries}
_CURRENCIES = {one.alpha_3.lower(): one.alpha_3 for one in pycountry.currencies if one.alpha_3 not in ("XTS", "XXX")}
_CURRENCIES |= {"€": "EUR", "euro": "EUR", "£": "GBP", "$": "USD"}
_LANGUAGES = {"nederlands": "nl", "dut": "nl", "deutsch": "de", "français": "fr", "frysk": "fy"}
for _one in (language for language in pycountry.languages if hasattr(language, "alpha_2")):
    _LANGUAGES |= dict.fromkeys(map(str.lower, (_one.name, _one.alpha_3, _one.alpha_2)), _one.alpha_2)
_ZONES = {zone.lower(): zone for zone in available_timezones() - {"Factory", "localtime", "posixrules"}}
_BOOLEANS = dict.fromkeys(("true", "1", "yes", "ja"), "true") | dict.fromkeys(("false", "0", "no", "nee"), "false")
_BOUNDS = {"weekday": (1, 7), "percentage": (0, 100), "latitude": (-90, 90), "longitude": (-180, 180)}
_SHORT = {"floor_level": 4, "type": 4, "postal_code": 10}  # characters a text of this name may have; others have 16

_SEPARATORS = re.compile(r"[\W_]")
_NUMBER = re.compile(r"([0-9]{1,11})(?:[.,]([0-9]{1,4}))? ?%?")
_COORDINATE = re.compile(r"(-?(?:0|[1-9][0-9]{0,2}))[.,]([0-9]{5,})")
_CLOCK = re.compile(r"(?:([01]?[0-9]|2[0-3])[:.]([0-5][0-9])|24[:.]00)(?::[0-5][0-9])?")
_WITH_TIME = re.compile(r"[-0-9W]{8,10}[T ]..:?.{2,}", re.IGNORECASE | re.ASCII)


def likely(kind: str, name: str, value: object, allowed: Sequence[str]) -> str | None:
    """Return the value that was probably meant, as a message shows it; None when there is no good guess.

    `kind` is the type of pydantic's error, `name` the property, `allowed` the words of an enum.
    """
    if isinstance(value, str) and kind == "literal_error":
        return _word(value[:MAX_LENGTH], allowed)
    if isinstance(value, str) and len(value) <= MAX_LENGTH and kind in _OF_TEXT:
        return _OF_TEXT[kind](name, value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e16 and kind in _OF_NUMBER:
        return _OF_NUMBER[kind](name, value)
    return None


def _word(text: str, allowed: Sequence[str]) -> str | None:
    words, given = {_SEPARATORS.sub("", word).lower(): word for word in allowed}, _SEPARATORS.sub("", text).lower()
    common = _WORDS.get(given)
    begun = [squashed for squashed in words if len(given) > 2 and squashed.startswith(given)]
    close = begun if len(begun) == 1 else difflib.get_close_matches(given, words, 1)
    return words.get(given) or (common if common in words.values() else words[close[0]] if close else None)


def _number(name: str, text: str) -> str | None:
    match = _NUMBER.fullmatch(text)
    return _bounded(name, f"{int(match[1])}.{match[2] or ''}".rstrip(".")) if match else None


def _coordinate(name: str, value: object) -> str | None:
    match = _COORDINATE.fullmatch(str(value))
    meant = _bounded(name, f"{match[1]}.{match[2][: min(7, 9 - len(match[1]))]}") if match else None
    return meant if meant is None or isinstance(value, str) else f'"{meant}"'


def _bounded(name: str, meant: str) -> str | None:
    low, high = _BOUNDS.get(name, (0, math.inf))
    return meant if low <= float(meant) <= high else None


def _date_time(_: str, text: str) -> str | None:
    with suppress(ValueError, OverflowError):
        moment = dt.datetime.fromisoformat(text.upper() if _WITH_TIME.fullmatch(text) else "")
        moment = moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)
        meant = moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")
        return meant.removesuffix("+00:00") + "Z"
    return None


_OF_TEXT: dict[str, Callable[[str, str], str | None]] = {
    INT: lambda name, text: _number(name, text) if text.isdigit() else None,
    "number": _number,
    **dict.fromkeys(("latitude", "longitude"), _coordinate),
    DATE_TIME: _date_time,
    "local_time": lambda _, text: f"{m[1] or '':>02}:{m[2] or '00'}" if (m := _CLOCK.fullmatch(text)) else None,
    "bool_type": lambda _, text: _BOOLEANS.get(text.lower()),
    "country": lambda _, text: _ALPHA_3.get(text.lower()),
    "country_code": lambda _, text: _ALPHA_2.get(_ALPHA_3.get(text.lower(), "")),
    "currency": lambda _, text: _CURRENCIES.get(text.lower()),
    LANGUAGE: lambda _, text: _LANGUAGES.get(text.lower()) or _LANGUAGES.get(re.split("[-_]", text.lower())[0]),
    "time_zone": lambda _, text: _ZONES.get(text.lower().replace(" ", "_")),
}
_OF_NUMBER: dict[str, Callable[[str, float], str | None]] = {
    **dict.fromkeys(
        ("text", "ci_string", "identifier"),
        lambda name, it: f'"{it}"' if len(str(it)) <= _SHORT.get(name, 16) else None,
    ),
    "party_id": lambda _, number: f'"{number}"' if 100 <= number <= 999 and isinstance(number, int) else None,
    **dict.fromkeys(("latitude", "longitude"), _coordinate),
    "bool_type": lambda _, number: _BOOLEANS.get(str(number)),
    INT: lambda name, number: str(round(number * 1000)) if name == "max_electric_power" and 0 < number < 1000 else None,
}
