"""What a driver pays, in one line.

Source: OCPI 2.2.1 mod_tariffs; protocol §5.5, §6.2 T-02, T-03, T-18, T-20.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

from ocpi.rules import elements
from ocpi.rules.book import Object
from ocpi.rules.findings import Language, shortened

MAX_CLAUSES = 10  # of all dimensions together; nobody reads more
MAX_LENGTH = 500

_Amount = tuple[Decimal, Decimal | None]  # the price with VAT, and the percentage; None: no VAT applies
_SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}
_CENT, _DETAIL = Decimal("0.01"), Decimal("0.0001")
_DASH = "\N{EN DASH}"
_HIDDEN = Decimal("0.0005")  # what two decimals may hide

_TIME = ("{}/h charging", "{}/uur laden")
_PARKING_TIME = ("{}/h parking", "{}/uur parkeren")
_EITHER_TIME = ("{}/h charging or parking", "{}/uur laden of parkeren")
_DIMENSIONS = (  # in the order of the line: which reservation, dimension, and how its price reads
    (None, "ENERGY", "{}/kWh", "{}/kWh"),
    (None, "FLAT", "{} start", "{} start"),
    (None, "TIME", *_TIME),
    (None, "PARKING_TIME", *_PARKING_TIME),
    ("RESERVATION", "FLAT", "reservation {}", "reservering {}"),
    ("RESERVATION", "TIME", "reservation {}/h", "reservering {}/uur"),
    ("RESERVATION_EXPIRES", "FLAT", "expired reservation {}", "verlopen reservering {}"),
    ("RESERVATION_EXPIRES", "TIME", "expired reservation {}/h", "verlopen reservering {}/uur"),
)
_UNITS = {"duration": "", "kwh": "kWh", "power": "kW", "current": "A"}
_DAYS = {"en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "nl": ["ma", "di", "wo", "do", "vr", "za", "zo"]}
_MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "nl": ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
}
_DUTCH = {
    "after": "na",
    "and {} more": "en nog {}",
    "at least": "minimaal",
    "at most": "maximaal",
    "before": "vóór",
    "below": "onder",
    "excl. VAT": "excl. btw",
    "the first": "de eerste",
    "free": "gratis",
    "from": "vanaf",
    "h": "uur",
    "hour": "uur",
    "incl. VAT": "incl. btw",
    "incl. {} % VAT": "incl. {} % btw",
    "night": "nacht",
    "no VAT": "geen btw",
    "on": "op",
    "only": "alleen",
    "otherwise": "anders",
    "until": "tot",
}


@dataclass(frozen=True, slots=True)
class _Clause:
    """One price of a dimension with its VAT, the percentage (None: no VAT applies), and when it applies."""

    when: Object
    price: Decimal
    vat: Decimal | None


@dataclass(frozen=True, slots=True)
class _Dimension:
    """What one dimension costs: its clauses in order, and how a price reads in either language."""

    clauses: list[_Clause]
    english: str
    dutch: str


def price_line(tariff: Object, language: Language) -> str:
    """Return what a driver pays, in one line; VAT is included where it is given. The tariff is one that passed `check`.

    For each dimension the first price that fits counts; what can never be charged is left out. Dates are not compared
    with today.
    """
    least, most = tariff.get("min_price", {}), tariff.get("max_price", {})
    is_free = 0 in most.values()  # either bound applies
    dimensions = [] if is_free else _dimensions(tariff)
    most = most if dimensions else {}  # of nothing there is no most
    vats = {clause.vat for dimension in dimensions for clause in dimension.clauses if clause.price}
    writer = _Writer(language, tariff["currency"], vats)
    rest = () if is_free else (writer.bound("at least", least), writer.bound("at most", most), writer.vat_of_all())
    for room in range(MAX_CLAUSES, 0, -1):
        line = ", ".join(filter(None, (writer.dimensions(dimensions, room), *rest))) or writer.word("free")
        if len(line) <= MAX_LENGTH:
            break
    return shortened(line[0].upper() + line[1:], MAX_LENGTH)


def _shown(price: Object) -> Any:
    return price.get("incl_vat", price.get("excl_vat", 0))


def _dimensions(tariff: Object) -> list[_Dimension]:
    found: dict[tuple[str | None, str], list[_Clause]] = {}
    for one in elements.priced(tariff):
        if one.behind is None:
            clauses = found.setdefault((one.reservation, one.component["type"]), [])
            clauses.append(_clause(one.when, one.component))
    dimensions = [
        _Dimension(_needed(found[reservation, dimension]), english, dutch)
        for reservation, dimension, english, dutch in _DIMENSIONS
        if (reservation, dimension) in found
    ]
    return _merged([dimension for dimension in dimensions if any(clause.price for clause in dimension.clauses)])


def _clause(when: Object, component: Object) -> _Clause:
    if when.get("end_time") == "23:59":
        when = when | {"end_time": elements.MIDNIGHT}  # nobody means to leave out that minute
    if when.get("start_time", elements.MIDNIGHT) == when.get("end_time", elements.MIDNIGHT) == elements.MIDNIGHT:
        when = {name: value for name, value in when.items() if name not in ("start_time", "end_time")}
    price, vat = _decimal(component["price"]), component.get("vat")
    if vat is None:
        return _Clause(when, price, None)
    return _Clause(when, price * (1 + _decimal(vat) / 100), _decimal(vat))


def _decimal(number: float) -> Decimal:
    return abs(Decimal(repr(number)))  # abs, for a JSON number may be -0.0


def _needed(clauses: list[_Clause]) -> list[_Clause]:
    """Return the clauses without those that change nothing: no price is the same as 0."""
    found = elements.moments([clause.when for clause in clauses])
    if found is None:
        return clauses
    masks, left = found
    kept = []
    for index, clause in enumerate(clauses):
        own = left & masks[index]
        if _matters(clause, own, clauses[index + 1 :], masks[index + 1 :]):
            kept.append(clause)
            left &= ~masks[index]
    return kept


def _matters(clause: _Clause, own: int, later: list[_Clause], masks: list[int]) -> bool:
    # Without it, do its own moments fall to something that costs more or less?
    for other, mask in zip(later, masks, strict=True):
        if own & mask and _cost(other) != _cost(clause):
            return True
        own &= ~mask
    return bool(own and clause.price)


def _cost(clause: _Clause) -> tuple[Decimal, Decimal | None]:
    return clause.price, clause.vat if clause.price else None


def _merged(dimensions: list[_Dimension]) -> list[_Dimension]:
    """Return the dimensions, with charging time and parking time as one where they cost the same."""
    for index, (time, parking) in enumerate(pairwise(dimensions)):
        if time.english == _TIME[0] and parking.english == _PARKING_TIME[0] and time.clauses == parking.clauses:
            return [*dimensions[:index], _Dimension(time.clauses, *_EITHER_TIME), *dimensions[index + 2 :]]
    return dimensions


def _parsed(date: str | None) -> dt.date | None:
    return dt.date.fromisoformat(date) if date else None


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes prices in one language; `vats` are the VAT percentages of all prices in the line."""

    language: Language
    currency: str
    vats: set[Decimal | None]

    def word(self, english: str) -> str:
        """Return a word or phrase in the language of the line."""
        return _DUTCH[english] if self.language == "nl" else english

    def dimensions(self, dimensions: list[_Dimension], room: int) -> str:
        """Return what the dimensions cost, in at most `room` clauses; "" when there are none."""
        parts, is_long = [], sum(len(dimension.clauses) > 1 for dimension in dimensions) > 1
        for dimension in dimensions:
            parts += [self._dimension(dimension, room)] if room > 0 else []
            room -= len(dimension.clauses)
        if dimensions and all("reservation" in dimension.english for dimension in dimensions):
            parts.insert(0, self.word("free"))
        line = ("; " if is_long else " + ").join(parts)
        return line if room >= 0 else f"{line}, … {self.word('and {} more').format(-room)}"

    def _dimension(self, dimension: _Dimension, room: int) -> str:
        clauses, texts = dimension.clauses, []
        template = dimension.dutch if self.language == "nl" else dimension.english
        for clause in clauses[:room]:
            price = template.format(self._money(clause.price)) + self._vat_of_one(clause)
            when = self._when(clause.when) or (self.word("otherwise") if len(clauses) > 1 else "")
            texts.append(f"{when} {price}".strip())
        if len(clauses) <= room and elements.are_complete([clause.when for clause in clauses]) is False:
            if len(clauses) == 1:
                return f"{self.word('only')} {texts[0]}"
            texts.append(f"{self.word('otherwise')} {self.word('free')}")
        return ", ".join(texts)

    def bound(self, word: str, price: Object) -> str:
        """Return the least or the most a session costs, "" when there is no such bound."""
        if not _shown(price):
            return ""
        text = f"{self.word(word)} {self._money(_decimal(_shown(price)))}"
        if "incl_vat" in price:
            return text if len(self.vats) == 1 and None not in self.vats else f"{text} {self.word('incl. VAT')}"
        return text if self.vats == {None} else f"{text} {self.word('excl. VAT')}"

    def vat_of_all(self) -> str:
        """Return the VAT that all prices have in common, "" when they differ."""
        return self._vat(next(iter(self.vats))) if len(self.vats) == 1 else ""

    def _vat_of_one(self, clause: _Clause) -> str:
        return f" ({self._vat(clause.vat)})" if len(self.vats) > 1 and clause.price else ""

    def _vat(self, vat: Decimal | None) -> str:
        return self.word("no VAT") if vat is None else self.word("incl. {} % VAT").format(self._number(vat))

    def _money(self, amount: Decimal) -> str:
        rounded = amount.quantize(_CENT, ROUND_HALF_UP)
        if abs(amount - rounded) > _HIDDEN or (amount and not rounded):
            rounded = amount.quantize(_DETAIL, ROUND_HALF_UP).normalize()
        return f"{_SYMBOLS.get(self.currency, self.currency)} {self._comma(f'{rounded:f}')}"

    def _number(self, number: Decimal) -> str:
        return self._comma(f"{number.normalize():f}")

    def _comma(self, number: str) -> str:
        return number.replace(".", ",") if self.language == "nl" else number

    def _when(self, when: Object) -> str:
        phrases = [self._days(when), self._times(when)]
        phrases += [self._between(name, unit, when) for name, unit in _UNITS.items()]
        within = " ".join(filter(None, phrases))
        return ", ".join(filter(None, [self._dates(when), within]))

    def _dates(self, when: Object) -> str:
        start, end = (_parsed(when.get(name)) for name in ("start_date", "end_date"))
        if start is None:
            return f"{self.word('before')} {self._date(end)}" if end else ""
        if end is None:
            return f"{self.word('from')} {self._date(start)}"
        last = end - dt.timedelta(days=1)
        if last == start:
            return f"{self.word('on')} {self._date(start)}"
        return f"{self._date(start, is_short=start.year == last.year)}{_DASH}{self._date(last)}"

    def _date(self, date: dt.date, is_short: bool = False) -> str:
        text = f"{date.day} {_MONTHS[self.language][date.month - 1]}"
        return text if is_short else f"{text} {date.year}"

    def _days(self, when: Object) -> str:
        numbers = sorted({elements.WEEK.index(day) for day in when.get("day_of_week", ())})
        names = [_DAYS[self.language][number] for number in numbers]
        if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
            return f"{names[0]}{_DASH}{names[-1]}"
        return "/".join(names)

    def _times(self, when: Object) -> str:
        start, end = when.get("start_time"), when.get("end_time")
        if start is None or end is None:
            return f"{self.word('from' if start else 'until')} {start or end}" if start or end else ""
        is_night = start >= "20:00" and elements.MIDNIGHT < end <= "12:00"
        return f"{self.word('night')} {start}{_DASH}{end}" if is_night else f"{start}{_DASH}{end}"

    def _between(self, name: str, unit: str, when: Object) -> str:
        low, high = (self._with_unit(when[n], unit) if n in when else "" for n in (f"min_{name}", f"max_{name}"))
        if low and high:
            return f"{low.removesuffix(unit).strip()}{_DASH}{high}"
        grows = name in ("kwh", "duration")  # from 0 during a session; current and power go up and down
        if low:
            return f"{self.word('after' if grows else 'from')} {low}"
        if grows and high.startswith("1 ") and high[2:] == self.word("h"):
            high = self.word("hour")
        if grows and high == "uur":
            return "het eerste uur"
        return f"{self.word('the first' if grows else 'below')} {high}" if high else ""

    def _with_unit(self, number: float, unit: str) -> str:
        if unit:
            return f"{self._number(_decimal(number))} {unit}"
        hours, minutes, seconds = int(number) // 3600, int(number) // 60 % 60, int(number) % 60
        parts = ((hours, self.word("h")), (minutes, "min"), (seconds, "s"))
        return " ".join(f"{count} {name}" for count, name in parts if count) or "0 s"
