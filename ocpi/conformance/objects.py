"""What one object of a list must be, whatever else is asked of it; and the little that is kept of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ocpi.conformance.book import Report
from ocpi.conformance.caller import MOMENT

Body = dict[str, Any]
Examine = Callable[[str, Body], dict[str, list[str]]]  # what is wrong with an object, by rule: `objects`, `dot-nl`


@dataclass
class List:
    """One list as it was crawled: never its objects, which may be a country's."""

    module: str
    url: str
    keys: list[tuple[str, ...]] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)  # tariff id -> a Location that names it
    picked: dict[str, Body] = field(default_factory=dict)  # the first, one further in, the last
    is_whole: bool = False  # crawled to its end

    def add(self, one: Any) -> None:
        """Remember an object."""
        body = one if isinstance(one, dict) else {}
        self.keys.append(key(body))
        if at := moment(body):
            self.moments.append(at)
        for tariff_id in _named_by(body):
            self.named.setdefault(tariff_id, str(body.get("id")))
        number = len(self.keys)
        self.picked.setdefault("first", body)
        if number & (number - 1) == 0:  # a power of two
            self.picked["within"] = body
        self.picked["last"] = body

    @property
    def samples(self) -> list[Body]:
        """Return up to three different objects."""
        return list({key(one): one for one in self.picked.values()}.values())


def key(one: Any) -> tuple[str, ...]:
    """Return whose object it is and which, so that two spellings of one id are the same."""
    names = ("country_code", "party_id", "id")
    return tuple(str(one.get(name) if isinstance(one, dict) else "").lower() for name in names)


def moment(one: Any) -> str:
    """Return last_updated to the millisecond without zone, so that moments compare as texts; "" where there is none."""
    value = one.get("last_updated") if isinstance(one, dict) else None
    if not isinstance(value, str) or not MOMENT.fullmatch(value):
        return ""
    second, _, fraction = value.removesuffix("Z").partition(".")
    return f"{second}.{fraction:0<3}"


def items(one: Any, name: str) -> list[Body]:
    """Return the objects in a list of an object."""
    found = one.get(name) if isinstance(one, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def look_at(report: Report, module: str, one: Any, examine: Examine | None) -> None:
    """Check one object of a list."""
    where = f"{module.removesuffix('s')} {one.get('id') if isinstance(one, dict) else ''}"
    has_all = isinstance(one, dict) and all(
        isinstance(one.get(name), str) and one[name] for name in ("country_code", "party_id", "id")
    )
    if not report.check("identity", has_all and moment(one), where, "country_code, party_id, id or last_updated"):
        return
    lacking = list(_lacking(module, one))
    report.check("no-null-list", not lacking, where, ", ".join(lacking[:5]))
    newer = list(_newer_children(one))
    report.check("child-times", not newer, where, "; ".join(newer[:3]))
    if examine:
        try:
            told = examine(module.removesuffix("s"), one)
        except Exception as error:  # whatever it is, it is not the visit that ends
            told = {"objects": [f"cannot be judged: {type(error).__name__}"]}
        for rule, wrong in told.items():
            report.check(rule, not wrong, where, "; ".join(wrong))


def is_same_or_newer(now: Any, then: Any) -> bool:
    """Return True for the object itself, or for what became of it since."""
    return now == then or (key(now) == key(then) and moment(now) > moment(then))


def _lacking(module: str, one: Body) -> Iterator[str]:
    """Yield which lists are null, or absent or empty though they must not be."""
    if module == "tariffs":
        yield from _must(one, "", "elements")
        for index, element in enumerate(items(one, "elements")):
            yield from _must(element, f"/elements/{index}", "price_components")
        return
    yield from _null(one, "", "evses", "images", "directions", "facilities")
    for index, evse in enumerate(items(one, "evses")):
        at = f"/evses/{index}"
        yield from _must(evse, at, "connectors")
        yield from _null(evse, at, "capabilities", "parking_restrictions")
        for place, connector in enumerate(items(evse, "connectors")):
            yield from _null(connector, f"{at}/connectors/{place}", "tariff_ids")


def _must(one: Body, at: str, name: str) -> Iterator[str]:
    if not isinstance(one.get(name), list) or not one[name]:
        yield f"{at}/{name}"


def _null(one: Body, at: str, *names: str) -> Iterator[str]:
    yield from (f"{at}/{name}" for name in names if name in one and one[name] is None)


def _newer_children(location: Body) -> Iterator[str]:
    for evse in items(location, "evses"):
        if moment(evse) > moment(location):
            yield f"EVSE {evse.get('uid')} is newer than its Location"
        for connector in items(evse, "connectors"):
            if moment(connector) > moment(evse):
                yield f"Connector {connector.get('id')} of EVSE {evse.get('uid')} is newer than the EVSE"


def _named_by(location: Body) -> Iterator[str]:
    for evse in items(location, "evses"):
        for connector in items(evse, "connectors") if evse.get("status") != "REMOVED" else []:
            found = connector.get("tariff_ids")
            yield from (str(one).lower() for one in found) if isinstance(found, list) else ()
