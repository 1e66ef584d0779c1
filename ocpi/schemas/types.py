"""The value types OCPI objects are made of. Their limits are checked by pydantic's core, in Rust.

Each type carries one phrase, in English and Dutch, that says what it expects; a refused value is one error whose type
is the kind given here and whose message is the English phrase. Optional values may be null: OCPI reads null as absent.

Source: OCPI 2.2.1 types; transport_and_format, "Cardinality"; protocol §2.6, §5.1.
"""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar
from zoneinfo import available_timezones

import pycountry
from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema
from pydantic_core import CoreSchema, core_schema

DATE_TIME, INT, LANGUAGE = "date_time", "int", "language"  # the kinds of errors that may be mended

MAX_ITEMS = 1_000  # of any list; OCPI names no limit, and the largest Dutch sites have some 200 EVSEs
MAX_INT = 999_999_999_999_999  # 15 digits: what every JSON reader carries exactly
NUMBER_LIMIT = 100_000_000_000  # 11 digits before the point and 4 behind it make 15 too

# Rust's regex syntax: `$` is the very end, `[0-9]` is ASCII only, and the time is linear in the text.
_NONCHARACTERS = r"\x{FDD0}-\x{FDEF}" + "".join(rf"\x{{{plane:X}FFFE}}\x{{{plane:X}FFFF}}" for plane in range(17))
_UNPRINTABLE = rf"\p{{Cc}}\p{{Zl}}\p{{Zp}}{_NONCHARACTERS}"  # and Cs, which never becomes a Rust string
_PRINTABLE = rf"^[^{_UNPRINTABLE}]*$"
_NOT_BLANK = rf"^\p{{Zs}}*[^{_UNPRINTABLE}\p{{Zs}}][^{_UNPRINTABLE}]*$"
_CI_STRING = r"^ *[!-~][ -~]*$"
# `/` and `\` do not survive routing (protocol §2.10); HTTP clients take a segment `.` or `..` out of the URL.
_IDENTIFIER = r"^[ .]*[!-\-0-\[\]-~][ -.0-\[\]-~]*$"

_LEAP = r"(?:0[48]|[2468][048]|[13579][26])"  # of two digits: a multiple of 4, not 00
_LONG_MONTH = r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = r"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = r"02-(?:0[1-9]|1[0-9]|2[0-8])"
_DAY = rf"(?:{_LONG_MONTH}|{_SHORT_MONTH}|{_FEBRUARY})"
_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DATE = rf"(?:{_YEAR}-{_DAY}|(?:[0-9]{{2}}{_LEAP}|{_LEAP}00)-02-29)"
_LOCAL_DATE = rf"(?:[12][0-9]{{3}}-{_DAY}|(?:[12][0-9]{_LEAP}|(?:1[26]|2[048])00)-02-29)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_FRACTION = r"(?:\.(?:[0-9]{2}[1-9]|[0-9][1-9]0|[1-9]00))?"  # none when it would say .000
_URL_CHARACTER = rf"[^{_UNPRINTABLE}\s\"<>\\]"
_URL = rf"^(?i:https?)://(?:[\p{{L}}\p{{N}}]|\[[0-9A-Fa-f:.]+\]){_URL_CHARACTER}*$"

LANGUAGES = frozenset(language.alpha_2 for language in pycountry.languages if hasattr(language, "alpha_2"))

T = TypeVar("T")
List = Annotated[list[T], Field(max_length=MAX_ITEMS)]
FilledList = Annotated[list[T], Field(min_length=1, max_length=MAX_ITEMS)]


class OcpiObject(BaseModel):
    """What all OCPI objects share: exact types, and no property OCPI 2.2.1 does not name."""

    model_config = ConfigDict(strict=True, extra="forbid")


Phrase = tuple[str, str]  # English, Dutch
DUTCH: dict[str, str] = {}  # the Dutch of each English phrase


def _expect(kind: str, phrase: Phrase, schema: CoreSchema) -> Any:
    english, DUTCH[english] = phrase
    reported = core_schema.custom_error_schema(schema, custom_error_type=kind, custom_error_message=english)
    return GetPydanticSchema(lambda _source, _handler: reported)


def _pattern(kind: str, phrase: Phrase, pattern: str, max_length: int | None = None) -> Any:
    return _expect(kind, phrase, core_schema.str_schema(pattern=pattern, max_length=max_length, strict=True))


def _one_of(kind: str, phrase: Phrase, values: Iterable[str]) -> Any:
    return _expect(kind, phrase, core_schema.literal_schema(sorted(values)))


def text(length: int) -> Any:
    """Make string(length): printable characters of any script. Source: OCPI 2.2.1 types, "string"."""
    phrase = (f"text of at most {length} printable characters", f"tekst van hoogstens {length} afdrukbare tekens")
    return _pattern("text", phrase, _PRINTABLE, length)


def required_text(length: int) -> Any:
    """Make string(length) for a required field, where "" and blanks are no value. Source: protocol §2.6."""
    phrase = (
        f"text of 1 to {length} printable characters, not blank",
        f"tekst van 1 tot {length} afdrukbare tekens, niet leeg",
    )
    return _pattern("text", phrase, _NOT_BLANK, length)


def ci_string(length: int) -> Any:
    """Make CiString(length): printable ASCII. Source: OCPI 2.2.1 types, "CiString"."""
    phrase = (
        f"1 to {length} printable ASCII characters, not blank",
        f"1 tot {length} afdrukbare ASCII-tekens, niet leeg",
    )
    return _pattern("ci_string", phrase, _CI_STRING, length)


def identifier(length: int) -> Any:
    """Make a CiString(length) that can stand in a URL. Source: protocol §2.10."""
    phrase = (
        f"1 to {length} printable ASCII characters, not only dots and blanks, no / and no \\",
        f"1 tot {length} afdrukbare ASCII-tekens, niet alleen punten en spaties, geen / en geen \\",
    )
    return _pattern("identifier", phrase, _IDENTIFIER, length)


def whole(low: int, high: int = MAX_INT) -> Any:
    """Make an int from `low` to `high`. Source: OCPI 2.2.1 types, "int"."""
    phrase = (f"a whole number from {low} to {high}", f"een geheel getal van {low} tot {high}")
    if high == MAX_INT:
        phrase = (
            f"a whole number of {low} or more, of at most 15 digits",
            f"een geheel getal van {low} of meer, van hoogstens 15 cijfers",
        )
    return _expect(INT, phrase, core_schema.int_schema(ge=low, le=high, strict=True))


def _number(phrase: Phrase, low: int | None, high: int = NUMBER_LIMIT) -> Any:
    # A union of two, so that 21 stays 21 and 21.0 stays 21.0: the exact type wins. Strict: no true, no "21".
    as_float = core_schema.float_schema(ge=low, le=high, allow_inf_nan=False, strict=True)
    as_int = core_schema.int_schema(ge=low, le=high, strict=True)
    return _expect("number", phrase, core_schema.union_schema([as_float, as_int]))


CountryCode = Annotated[
    str,
    _pattern(
        "country_code",
        ("an ISO 3166-1 alpha-2 code such as NL", "een ISO 3166-1 alpha-2-code zoals NL"),
        "^[A-Za-z]{2}$",
    ),
]
PartyId = Annotated[
    str,
    _pattern(
        "party_id",
        ("a party id of 3 letters or digits such as EXA", "een party-id van 3 letters of cijfers zoals EXA"),
        "^[A-Za-z0-9]{3}$",
    ),
]
DateTime = Annotated[
    str,
    _pattern(
        DATE_TIME,
        (
            "an existing UTC time such as 2026-03-02T09:15:00Z, with at most 3 fraction digits",
            "een bestaand UTC-tijdstip zoals 2026-03-02T09:15:00Z, met hoogstens 3 cijfers achter de seconden",
        ),
        rf"^{_DATE}T{_TIME}:[0-5][0-9]{_FRACTION}Z$",
    ),
]
LocalTime = Annotated[
    str,
    _pattern("local_time", ("a local time from 00:00 to 23:59", "een lokale tijd van 00:00 tot 23:59"), f"^{_TIME}$"),
]
LocalDate = Annotated[
    str,
    _pattern(
        "local_date",
        ("an existing date such as 2026-03-02", "een bestaande datum zoals 2026-03-02"),
        f"^{_LOCAL_DATE}$",
    ),
]
Url = Annotated[
    str,
    _pattern(
        "url",
        (
            "an absolute http or https URL of at most 255 characters",
            "een volledige http- of https-URL van hoogstens 255 tekens",
        ),
        _URL,
        255,
    ),
]
Number = Annotated[
    int | float,
    _number(
        ("a number of at most 15 digits, 11 before the point", "een getal van hoogstens 15 cijfers, 11 voor de punt"),
        -NUMBER_LIMIT,
    ),
]
Amount = Annotated[
    int | float,
    _number(
        (
            "a number of 0 or more, of at most 15 digits, 11 before the point",
            "een getal van 0 of meer, van hoogstens 15 cijfers, 11 voor de punt",
        ),
        0,
    ),
]
Percentage = Annotated[int | float, _number(("a number from 0 to 100", "een getal van 0 tot 100"), 0, 100)]
Latitude = Annotated[
    str,
    _pattern(
        "latitude",
        (
            "a text such as 52.090736: -90 to 90, a dot, 5 to 7 decimals, at most 10 characters",
            "een tekst zoals 52.090736: -90 tot 90, een punt, 5 tot 7 decimalen, hoogstens 10 tekens",
        ),
        r"^-?(?:[0-8]?[0-9]\.[0-9]{5,7}|90\.0{5,7})$",
        10,
    ),
]
Longitude = Annotated[
    str,
    _pattern(
        "longitude",
        (
            "a text such as 5.121420: -180 to 180, a dot, 5 to 7 decimals, at most 11 characters",
            "een tekst zoals 5.121420: -180 tot 180, een punt, 5 tot 7 decimalen, hoogstens 11 tekens",
        ),
        r"^-?(?:(?:0?[0-9]{1,2}|1[0-7][0-9])\.[0-9]{5,7}|180\.0{5,7})$",
        11,
    ),
]
# pycountry and zoneinfo are read once, at import; a look-up is then one hash in Rust.
CountryAlpha3 = Annotated[
    str,
    _one_of(
        "country",
        ("an ISO 3166-1 alpha-3 code such as NLD", "een ISO 3166-1 alpha-3-code zoals NLD"),
        (country.alpha_3 for country in pycountry.countries),
    ),
]
Currency = Annotated[
    str,
    _one_of(
        "currency",
        ("an ISO 4217 code such as EUR", "een ISO 4217-code zoals EUR"),
        {currency.alpha_3 for currency in pycountry.currencies} - {"XTS", "XXX"},  # "for testing" and "no currency"
    ),
]
Language = Annotated[
    str,
    _one_of(
        LANGUAGE,
        ("an ISO 639-1 code in small letters such as nl", "een ISO 639-1-code in kleine letters zoals nl"),
        LANGUAGES,
    ),
]
TimeZone = Annotated[
    str,
    _one_of(
        "time_zone",
        (
            "a name of the IANA time zone database such as Europe/Amsterdam",
            "een naam uit de IANA-tijdzonedatabase zoals Europe/Amsterdam",
        ),
        available_timezones() - {"Factory", "localtime", "posixrules"},  # files beside the zones, not zones
    ),
]


class DisplayText(OcpiObject):
    """A text for people, in one language. Source: OCPI 2.2.1 types, "DisplayText class"."""

    language: Language
    text: Annotated[str, required_text(512)]


class GeoLocation(OcpiObject):
    """A point in WGS 84, as strings. Source: OCPI 2.2.1 mod_locations, "GeoLocation class"."""

    latitude: Latitude
    longitude: Longitude


class Price(OcpiObject):
    """An amount of the tariff's currency. Source: OCPI 2.2.1 types, "Price class"."""

    excl_vat: Amount
    incl_vat: Amount | None = None
