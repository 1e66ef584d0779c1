"""The rules of Locations, EVSEs and Connectors.

Source: OCPI 2.2.1 mod_locations; protocol §5.2-§5.6, §6.1.
"""

import re

from ocpi.rules.book import Hits, Object, rule
from ocpi.rules.findings import ERROR, WARNING
from ocpi.schemas.locations import EVSE, EnergyMix, ExceptionalPeriod, Hours, Location, PublishTokenType, RegularHours

# The first digits show most opening hours to be in order: 07:00 to 22:00 is not looked at.
_LATE_BEGIN = r'"period_begin":"(?:0[^"]*","period_end":"0|1[^"]*","period_end":"[01]|[2-9])'


@rule(
    Location,
    id="L-12",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Location Object"',
    message="publish_allowed_to is {value} while publish is true",
    hint="Leave publish_allowed_to out, or set publish to false.",
    trigger=r'"publish_allowed_to":\[\{',
)
def limited_to_tokens_though_public(location: Object) -> Hits:
    return ["/publish_allowed_to"] if location.get("publish_allowed_to") and location["publish"] else None


@rule(
    Location,
    id="L-29",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "EVSE object"',
    message="EVSE uid {value} stands in this Location already; upper and lower case are the same",
)
def same_uid_twice(location: Object) -> Hits:
    return _doubles(location.get("evses", ()), "evses", "uid")


@rule(
    EVSE,
    id="L-29",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Connector object"',
    message="Connector id {value} stands in this EVSE already; upper and lower case are the same",
)
def same_connector_id_twice(evse: Object) -> Hits:
    return _doubles(evse["connectors"], "connectors", "id")


def _doubles(children: list[Object], name: str, key: str) -> Hits:
    if len(children) < 2:
        return None
    ids = [child[key].lower() for child in children]
    if len(set(ids)) == len(ids):
        return None
    return [f"/{name}/{index}/{key}" for index, id in enumerate(ids) if id in ids[:index]]


@rule(
    Location,
    id="S-address",
    severity=WARNING,
    source="protocol §5.2: older prints of OCPI 2.2.1 allow 45 characters",
    message="address is longer than 45 characters, which NDW may not carry",
    trigger=r'"address":"(?:[^"\\]|\\.){46}',
)
def address_of_old_length(location: Object) -> Hits:
    return ["/address"] if len(location["address"]) > 45 else None


@rule(
    EVSE,
    id="S-evse_id",
    severity=WARNING,
    source="protocol §1.1: eMI3; OCPI prints no pattern",
    message="evse_id {value} does not look like one: country, operator, E, number",
    hint="For example NL*EXA*E1001*1, or the same without the asterisks.",
)
def odd_evse_id(evse: Object) -> Hits:
    evse_id = evse.get("evse_id")
    return None if evse_id is None or _EVSE_ID(evse_id) else ["/evse_id"]


_EVSE_ID = re.compile(r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}", re.IGNORECASE | re.ASCII).fullmatch


@rule(
    EVSE,
    id="N-parking_restrictions",
    severity=WARNING,
    source='NDW DOT-NL, "AFIR"; protocol §6.1 L-15',
    message="parking_restrictions is empty; NDW has not said whether that is enough",
    hint="Give a value if there is a restriction.",
    trigger=r'"parking_restrictions":\[\]',
)
def no_parking_restrictions(evse: Object) -> Hits:
    return ["/parking_restrictions"] if evse.get("parking_restrictions") == [] else None


@rule(
    PublishTokenType,
    id="S-token",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "PublishTokenType class"',
    message="None of uid, visual_number and group_id is given",
    trigger=r'"publish_allowed_to":\[\{',
)
def names_no_token(token: Object) -> Hits:
    return None if token.get("uid") or token.get("visual_number") or token.get("group_id") else [""]


@rule(
    PublishTokenType,
    id="S-token",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "PublishTokenType class"',
    message="uid {uid} needs a type",
    trigger=r'"publish_allowed_to":\[\{',
)
def uid_without_type(token: Object) -> Hits:
    return ["/type"] if token.get("uid") and not token.get("type") else None


@rule(
    PublishTokenType,
    id="S-token",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "PublishTokenType class"',
    message="visual_number {visual_number} needs an issuer",
    trigger=r'"publish_allowed_to":\[\{',
)
def visual_number_without_issuer(token: Object) -> Hits:
    return ["/issuer"] if token.get("visual_number") and not token.get("issuer") else None


@rule(
    Hours,
    id="L-07",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Hours class"',
    message="regular_hours is {value} while twentyfourseven is true",
    hint="Leave regular_hours out, or set twentyfourseven to false.",
    trigger=r'"twentyfourseven":true,"regular_hours":\[\{',
)
def hours_though_always_open(hours: Object) -> Hits:
    return ["/regular_hours"] if hours["twentyfourseven"] and hours.get("regular_hours") else None


@rule(
    Hours,
    id="L-08",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Hours class"',
    message="regular_hours is missing; it is required when twentyfourseven is false",
    trigger=r'"twentyfourseven":false(?:\}|,"e|,"regular_hours":\[\])',
)
def no_hours_though_not_always_open(hours: Object) -> Hits:
    return None if hours["twentyfourseven"] or hours.get("regular_hours") else ["/regular_hours"]


@rule(
    RegularHours,
    id="L-10",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "RegularHours class"',
    message="period_end {period_end} is not after period_begin {period_begin}",
    hint="Hours past midnight are two entries, on two weekdays.",
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
    message="period_end {period_end} is read as the end of the day",
    trigger='"period_end":"00:00"',
)
def hours_end_at_midnight(hours: Object) -> Hits:
    return ["/period_end"] if hours["period_end"] == "00:00" else None


@rule(
    ExceptionalPeriod,
    id="L-10",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "ExceptionalPeriod class"',
    message="period_end {period_end} is not after period_begin {period_begin}",
    trigger=_LATE_BEGIN,
)
def exception_ends_before_it_begins(period: Object) -> Hits:
    return ["/period_end"] if period["period_end"][:-1] <= period["period_begin"][:-1] else None


@rule(
    EnergyMix,
    id="L-18",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "EnergyMix class"',
    message="The percentages of energy_sources do not add up to 100",
)
def sources_do_not_add_up(mix: Object) -> Hits:
    sources = mix.get("energy_sources")
    if not sources or 99.9 <= round(sum([source["percentage"] for source in sources]), 6) <= 100.1:
        return None
    return ["/energy_sources"]


@rule(
    EnergyMix,
    id="L-18",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "EnergyMix class"',
    message="is_green_energy is true, yet not all is regenerative, without CO2 and nuclear waste",
    trigger=r'"(?:source":"(?:NUCLEAR|COAL|GAS|GENERAL_FOSSIL)|amount":[1-9]|amount":0\.)',
)
def green_with_fossil_or_nuclear(mix: Object) -> Hits:
    if not mix["is_green_energy"]:
        return None
    sources, impacts = mix.get("energy_sources", ()), mix.get("environ_impact", ())
    is_grey = any(source["source"] in _NOT_GREEN and source["percentage"] > 0 for source in sources)
    return ["/is_green_energy"] if is_grey or any(impact["amount"] > 0 for impact in impacts) else None


_NOT_GREEN = frozenset({"NUCLEAR", "COAL", "GAS", "GENERAL_FOSSIL"})
