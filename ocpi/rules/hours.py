"""The rules of opening hours and of planned statuses.

Canonical DateTimes compare as strings once the Z is cut off (see ocpi.rules.times).

Source: OCPI 2.2.1 mod_locations, "Hours class", "StatusSchedule class"; protocol §5.6, §6.1 L-07 to L-11, L-20.
"""

from bisect import bisect_left
from itertools import accumulate

from ocpi.rules.book import Hits, Object, rule
from ocpi.rules.findings import ERROR, WARNING
from ocpi.schemas.locations import EVSE, ExceptionalPeriod, Hours, RegularHours, StatusSchedule

# The first digits show most opening hours to be in order: 07:00 to 22:00 is not looked at.
_LATE_BEGIN = r'"period_begin":"(?:0[^"]*","period_end":"0|1[^"]*","period_end":"[01]|[2-9])'
_SCHEDULE = r'"status_schedule":\[\{'
_FOR_EVER = "~"  # comes after every DateTime


@rule(
    Hours,
    id="L-07",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Hours class"',
    message=(
        "regular_hours is {value} while twentyfourseven is true",
        "regular_hours is {value} terwijl twentyfourseven true is",
    ),
    hint=(
        "Leave regular_hours out, or set twentyfourseven to false.",
        "Laat regular_hours weg, of zet twentyfourseven op false.",
    ),
    trigger=r'"twentyfourseven":true,"regular_hours":\[\{',
)
def hours_though_always_open(hours: Object) -> Hits:
    return ["/regular_hours"] if hours["twentyfourseven"] and hours.get("regular_hours") else None


@rule(
    Hours,
    id="L-08",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Hours class"',
    message=(
        "regular_hours is missing; it is required when twentyfourseven is false",
        "regular_hours ontbreekt; het is verplicht als twentyfourseven false is",
    ),
    trigger=r'"twentyfourseven":false(?:\}|,"e|,"regular_hours":\[\])',
)
def no_hours_though_not_always_open(hours: Object) -> Hits:
    return None if hours["twentyfourseven"] or hours.get("regular_hours") else ["/regular_hours"]


@rule(
    Hours,
    id="L-09",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "Hours class"; protocol §6.1 L-09',
    message=(
        "exceptional_closings from {begin} to {end} overlaps exceptional_openings; the two should not overlap",
        "exceptional_closings van {begin} tot {end} overlapt met exceptional_openings; die twee horen niet te overlappen",
    ),
    hint=("Where both hold, the site counts as closed.", "Waar beide gelden, telt de locatie als gesloten."),
    trigger=r'"exceptional_openings":\[\{',
)
def closed_and_open_at_once(hours: Object) -> Hits:
    openings = sorted(map(_span, hours.get("exceptional_openings", ())))
    begins = [begin for begin, _ in openings]
    latest_ends = list(accumulate((end for _, end in openings), max))
    hits = {}
    for index, closing in enumerate(hours.get("exceptional_closings", ())):
        begin, end = _span(closing)
        count = bisect_left(begins, end)  # so many openings begin before this closing ends
        if count and latest_ends[count - 1] > begin:
            hits[f"/exceptional_closings/{index}"] = {"begin": closing["period_begin"], "end": closing["period_end"]}
    return hits


@rule(
    RegularHours,
    id="L-10",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "RegularHours class"',
    message=(
        "period_end {period_end} is not after period_begin {period_begin}",
        "period_end {period_end} ligt niet na period_begin {period_begin}",
    ),
    hint=(
        "Hours past midnight are two entries, on two weekdays.",
        "Uren over middernacht heen zijn twee regels, op twee weekdagen.",
    ),
    trigger=_LATE_BEGIN,
)
def hours_end_before_they_begin(hours: Object) -> Hits:
    end = hours["period_end"]
    return ["/period_end"] if end <= hours["period_begin"] and end != "00:00" else None


@rule(
    RegularHours,
    id="L-10",
    severity=WARNING,
    source="protocol §6.1 L-10: OCPI does not say how to write the end of the day",
    message=(
        "period_end {period_end} is read as the end of the day",
        "period_end {period_end} wordt gelezen als het einde van de dag",
    ),
    trigger='"period_end":"00:00"',
)
def hours_end_at_midnight(hours: Object) -> Hits:
    return ["/period_end"] if hours["period_end"] == "00:00" else None


@rule(
    ExceptionalPeriod,
    id="L-10",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "ExceptionalPeriod class"',
    message=(
        "period_end {period_end} is not after period_begin {period_begin}",
        "period_end {period_end} ligt niet na period_begin {period_begin}",
    ),
    trigger=_LATE_BEGIN,
)
def exception_ends_before_it_begins(period: Object) -> Hits:
    return ["/period_end"] if period["period_end"][:-1] <= period["period_begin"][:-1] else None


@rule(
    StatusSchedule,
    id="S-schedule",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "StatusSchedule class"; protocol §5.3, §5.6',
    message=(
        "period_end {period_end} is not after period_begin {period_begin}",
        "period_end {period_end} ligt niet na period_begin {period_begin}",
    ),
    hint=("Leave period_end out if the end is open.", "Laat period_end weg als het einde open is."),
    trigger=_SCHEDULE,
)
def schedule_ends_before_it_begins(period: Object) -> Hits:
    begin, end = _span(period)
    return ["/period_end"] if end <= begin else None


@rule(
    EVSE,
    id="S-schedule",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "StatusSchedule class"; protocol §5.3, §5.6',
    message=(
        "status_schedule[{index}], from {begin}, overlaps status_schedule[{other}]",
        "status_schedule[{index}], vanaf {begin}, overlapt met status_schedule[{other}]",
    ),
    hint=(
        "The period from {open} has no period_end, so it goes on for ever.",
        "De periode vanaf {open} heeft geen period_end en duurt dus altijd voort.",
    ),
    trigger=_SCHEDULE,
)
def two_statuses_planned_at_once(evse: Object) -> Hits:
    schedule = evse.get("status_schedule", ())
    hits: dict[str, Object] = {}
    latest, other = "", 0  # the end that lies furthest ahead, and whose it is
    for (begin, end), index in sorted((_span(period), index) for index, period in enumerate(schedule)):
        if end <= begin:
            continue
        if begin < latest:
            values = {"index": index, "begin": schedule[index]["period_begin"], "other": other}
            is_open = {"open": schedule[other]["period_begin"]} if latest == _FOR_EVER else {}
            hits[f"/status_schedule/{index}"] = values | is_open
        if end > latest:
            latest, other = end, index
    return hits


def _span(period: Object) -> tuple[str, str]:
    return period["period_begin"][:-1], period["period_end"][:-1] if "period_end" in period else _FOR_EVER
