"""When each price of a Tariff applies: per dimension the first element that has it and whose restrictions hold.

Source: OCPI 2.2.1 mod_tariffs, "Tariff Object", "TariffRestrictions class"; protocol §5.5, §6.2 T-02, T-03, T-11.
"""

from itertools import product
from math import prod
from typing import Any, NamedTuple, get_args

from ocpi.rules.book import Object
from ocpi.schemas.tariffs import DayOfWeek

WEEK: tuple[str, ...] = get_args(DayOfWeek)
MIDNIGHT = "00:00"

_RANGES = {name: (f"min_{name}", f"max_{name}") for name in ("kwh", "duration", "current", "power")}
_RANGES["date"] = ("start_date", "end_date")
_AXES = {"time": ("start_time", "end_time"), "day": ("day_of_week",)} | _RANGES
_MAX_COMPARED = 20  # earlier prices that a price is compared with; tariffs have ten at most
_MAX_LOOKS = 20_000  # moments times conditions, some 20 ms


class Priced(NamedTuple):
    """One price component, and when it applies; `behind` is the earlier element that leaves it no such moment."""

    path: str
    reservation: str | None
    component: Object
    when: Object
    behind: int | None


def priced(tariff: Object) -> list[Priced]:
    """Return a Tariff's components in order, but for each element only the first of a dimension."""
    earlier: dict[tuple[str | None, str], list[tuple[Object, int]]] = {}
    found = []
    for index, element in enumerate(tariff["elements"]):
        reservation, when = element.get("restrictions", {}).get("reservation"), conditions(element)
        firsts: dict[str, int] = {}
        for number, component in enumerate(element["price_components"]):
            firsts.setdefault(component["type"], number)
        for dimension, number in firsts.items():
            before = earlier.setdefault((reservation, dimension), [])
            behind = next((other for wide, other in before[:_MAX_COMPARED] if covers(wide, when)), None)
            if behind is None:
                before.append((when, index))
            path = f"/elements/{index}/price_components/{number}"
            found.append(Priced(path, reservation, element["price_components"][number], when, behind))
    return found


def conditions(element: Object) -> Object:
    """Return an element's restrictions without `reservation` and those that always hold; {} is always."""
    restrictions = element.get("restrictions", {})
    return {name: value for name, value in restrictions.items() if not _always_holds(name, value)}


def _always_holds(name: str, value: Any) -> bool:
    if name == "day_of_week":
        return not value or set(value) == set(WEEK)
    return name == "reservation" or (name in ("min_kwh", "min_duration") and value == 0)


def covers(wide: Object, narrow: Object) -> bool:
    """Return True when `wide` holds whenever `narrow` does, however the unclear restrictions are read."""
    if _window(wide) not in ((None, None), _window(narrow)):
        return False
    return all(
        name in narrow and _is_within(name, narrow[name], value)
        for name, value in wide.items()
        if name not in _AXES["time"]
    )


def _window(when: Object) -> tuple[str | None, str | None]:
    return when.get("start_time"), when.get("end_time")


def _is_within(name: str, narrow: Any, wide: Any) -> bool:
    if name == "day_of_week":
        return set(narrow) <= set(wide)
    is_low = name == "start_date" or name.startswith("min_")
    return bool(narrow >= wide if is_low else narrow <= wide)


def moments(whens: list[Object]) -> tuple[list[int], int] | None:
    """Return for each of some conditions the moments in which it holds, then all moments; both as bits of an int.

    The moments are those among which some condition changes. None when they are too many.
    """
    points = {
        axis: _points(axis, whens) for axis, names in _AXES.items() if any(n in when for when in whens for n in names)
    }
    count = prod(map(len, points.values()))
    if count * len(whens) > _MAX_LOOKS:
        return None
    every = list(product(*points.values()))
    masks = [
        sum(1 << bit for bit, moment in enumerate(every) if all(map(_holds, points, moment, [when] * len(points))))
        for when in whens
    ]
    return masks, (1 << count) - 1


def _points(axis: str, whens: list[Object]) -> list[Any]:
    if axis == "day":
        return list(WEEK)
    first: Any = {"time": MIDNIGHT, "date": ""}.get(axis, 0)
    return sorted({first} | {when[name] for when in whens for name in _AXES[axis] if name in when})


def _holds(axis: str, point: Any, when: Object) -> bool:
    if axis == "day":
        return point in when.get("day_of_week", WEEK)
    low, high = (when.get(name) for name in _AXES[axis])
    if axis == "time":
        return _is_in_window(point, low or MIDNIGHT, high or MIDNIGHT)
    return (low is None or point >= low) and (high is None or point < high)


def _is_in_window(time: str, start: str, end: str) -> bool:
    if end == MIDNIGHT:
        return time >= start
    if start == end:
        return time == start  # nobody knows: neither never nor always
    return start <= time < end if start < end else time >= start or time < end


def are_complete(whens: list[Object]) -> bool | None:
    """Return True when at any moment one of the conditions holds; dates do not count. None when they are too many."""
    whens = [{name: value for name, value in when.items() if name not in _AXES["date"]} for when in whens]
    if {} in whens:
        return True
    found = moments(whens)
    if found is None:
        return None
    masks, left = found
    for mask in masks:
        left &= ~mask
    return not left
