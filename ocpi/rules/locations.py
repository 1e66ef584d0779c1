"""The rules of Locations, EVSEs and Connectors.

Source: OCPI 2.2.1 mod_locations; protocol §5.2-§5.6, §6.1.
"""

import re
from functools import lru_cache

from ocpi.rules.book import Hits, Object, Words, rule
from ocpi.rules.findings import ERROR, WARNING
from ocpi.schemas.locations import EVSE, EnergyMix, Location, PublishTokenType

# Latitude 50.7 to 53.7 and longitude 3.2 to 7.3: the Netherlands in Europe. Of the edges a little too much matches.
_SOUTH_OR_NORTH = r'"latitude":"(?:-|[0-46-9]|5(?:\.|0\.[0-6]|3\.[7-9]|[4-9]))'
_WEST_OR_EAST = r'"longitude":"(?:-|0*(?:[0-289]\.|3\.[01]|7\.[3-9]|[1-9][0-9]))'


@rule(
    Location,
    id="L-12",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Location Object"',
    message=(
        "publish_allowed_to is {value} while publish is true",
        "publish_allowed_to is {value} terwijl publish true is",
    ),
    hint=(
        "Leave publish_allowed_to out, or set publish to false.",
        "Laat publish_allowed_to weg, of zet publish op false.",
    ),
    trigger=r'"publish_allowed_to":\[\{',
)
def limited_to_tokens_though_public(location: Object) -> Hits:
    return ["/publish_allowed_to"] if location.get("publish_allowed_to") and location["publish"] else None


@rule(
    Location,
    id="L-29",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "EVSE object"',
    message=(
        "EVSE uid {value} stands in this Location already; upper and lower case are the same",
        "EVSE-uid {value} staat al in deze Location; hoofdletters en kleine letters zijn gelijk",
    ),
    hint=("Give each EVSE a uid of its own.", "Geef elke EVSE een eigen uid."),
)
def same_uid_twice(location: Object) -> Hits:
    return _doubles(location.get("evses", ()), "evses", "uid")


@rule(
    EVSE,
    id="L-29",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "Connector object"',
    message=(
        "Connector id {value} stands in this EVSE already; upper and lower case are the same",
        "Connector-id {value} staat al in deze EVSE; hoofdletters en kleine letters zijn gelijk",
    ),
    hint=("Give each Connector of an EVSE an id of its own.", "Geef elke Connector van een EVSE een eigen id."),
)
def same_connector_id_twice(evse: Object) -> Hits:
    return _doubles(evse["connectors"], "connectors", "id")


def _doubles(children: list[Object], name: str, key: str) -> Hits:
    if len(children) < 2:
        return None
    if len({child[key].lower() for child in children}) == len(children):
        return None
    ids = [child[key].lower() for child in children]
    return [f"/{name}/{index}/{key}" for index, id in enumerate(ids) if id in ids[:index]]


@rule(
    Location,
    id="S-address",
    severity=WARNING,
    source="protocol §5.2: older prints of OCPI 2.2.1 allow 45 characters",
    message=(
        "address has {length} characters; NDW may not carry more than 45",
        "address heeft {length} tekens; mogelijk geeft NDW er niet meer dan 45 door",
    ),
    hint=("Street and number are enough.", "Straat en huisnummer zijn genoeg."),
    trigger=r'"address":"(?:[^"\\]|\\.){46}',
)
def address_of_old_length(location: Object) -> Hits:
    length = len(location["address"])
    return {"/address": {"length": length}} if length > 45 else None


@rule(
    Location,
    id="L-13",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "Flow and Lifecycle"; protocol §5.2, §6.1 L-13',
    message=(
        "evses has no EVSE that is not REMOVED (of {count}); receivers count this Location as expired",
        "evses heeft geen EVSE die niet REMOVED is (van {count}); ontvangers beschouwen deze Location als vervallen",
    ),
    hint=(
        "Nothing to do if the site is gone; otherwise send its EVSEs.",
        "Niets te doen als de locatie is opgeheven; stuur anders de EVSE's mee.",
    ),
)
def no_evse_left(location: Object) -> Hits:
    evses = location.get("evses", ())
    for evse in evses:
        if evse["status"] != "REMOVED":
            return None
    return {"/evses": {"count": len(evses)}}


@rule(
    Location,
    id="L-23",
    severity=WARNING,
    source="protocol §6.1 L-23",
    message=(
        "country is NLD, yet latitude {latitude}, longitude {longitude} is not in the Netherlands"
        " (50.7 to 53.7, 3.2 to 7.3)",
        "country is NLD, maar latitude {latitude}, longitude {longitude} ligt niet in Nederland"
        " (50.7 tot 53.7, 3.2 tot 7.3)",
    ),
    hint=("Swapped? {meant}", "Verwisseld? {meant}"),
    trigger=f"{_SOUTH_OR_NORTH}|{_WEST_OR_EAST}",
)
def outside_the_netherlands(location: Object) -> Hits:
    if location["country"] != "NLD":
        return None
    texts = location["coordinates"]
    latitude, longitude = float(texts["latitude"]), float(texts["longitude"])
    if _in_nld(latitude, longitude) or not (latitude or longitude):  # 0,0 has a rule of its own
        return None
    swapped = Words(f"latitude {texts['longitude']}, longitude {texts['latitude']}")
    return {"/coordinates": texts | ({"meant": swapped} if _in_nld(longitude, latitude) else {})}


def _in_nld(latitude: float, longitude: float) -> bool:
    return 50.7 <= latitude <= 53.7 and 3.2 <= longitude <= 7.3


@rule(
    Location,
    id="S-evse_id",
    severity=WARNING,
    source='OCPI 2.2.1 credentials, "Credentials object"; protocol §1.1',
    message=(
        "evse_id {value} is a number of operator {operator}, while this Location belongs to {party}",
        "evse_id {value} is een nummer van exploitant {operator}, terwijl deze Location van {party} is",
    ),
    hint=(
        "OCPI allows this; leave it if the number was issued under {operator}.",
        "OCPI staat dit toe; laat het zo als het nummer onder {operator} is uitgegeven.",
    ),
)
def evse_id_of_another_operator(location: Object) -> Hits:
    own = _beginnings(location["country_code"], location["party_id"])
    for evse in location.get("evses", ()):
        if not evse.get("evse_id", own[0]).startswith(own):
            return _foreign_evse_ids(location)
    return None


@lru_cache(maxsize=4096)
def _beginnings(country_code: str, party_id: str) -> tuple[str, str]:
    country_code, party_id = country_code.upper(), party_id.upper()
    return f"{country_code}*{party_id}*E", f"{country_code}{party_id}E"


def _foreign_evse_ids(location: Object) -> Hits:
    party = (location["country_code"].upper(), location["party_id"].upper())
    hits = {}
    for index, evse in enumerate(location["evses"]):
        match = _EVSE_ID(evse.get("evse_id", ""))
        if match and evse["status"] != "REMOVED" and (operator := (match[1].upper(), match[2].upper())) != party:
            hits[f"/evses/{index}/evse_id"] = {"operator": Words("-".join(operator)), "party": Words("-".join(party))}
    return hits


@rule(
    Location,
    id="S-evse_id",
    severity=WARNING,
    source="protocol §1.1: the public number of one EVSE in the real world",
    message=(
        "evse_id {value} is also that of EVSE {uid}; upper and lower case are the same, * and - do not count",
        "evse_id {value} is ook die van EVSE {uid}; hoofdletters en kleine letters zijn gelijk, * en - tellen niet mee",
    ),
    hint=(
        "Give each EVSE a number of its own, or set the one that is gone to REMOVED.",
        "Geef elke EVSE een eigen nummer, of zet de EVSE die weg is op REMOVED.",
    ),
)
def same_evse_id_twice(location: Object) -> Hits:
    evses = location.get("evses", ())
    if len(evses) < 2:
        return None
    if len({evse.get("evse_id", "").upper().replace("*", "").replace("-", "") for evse in evses}) == len(evses):
        return None
    hits: dict[str, Object] = {}
    first: dict[str, str] = {}
    for index, evse in enumerate(evses):
        id = evse.get("evse_id", "").upper().replace("*", "").replace("-", "")
        if evse["status"] == "REMOVED" or not _PLAIN_EVSE_ID(id):
            continue
        if first.setdefault(id, evse["uid"]) != evse["uid"]:
            hits[f"/evses/{index}/evse_id"] = {"uid": first[id]}
    return hits


@rule(
    Location,
    id="S-postal_code",
    severity=WARNING,
    source="protocol §5.2: the code of the site, as the Dutch post writes it",
    message=(
        "postal_code {value} is not a Dutch one, while country is NLD",
        "postal_code {value} is geen Nederlandse, terwijl country NLD is",
    ),
    hint=("Four digits and two letters, such as 3511 AA.", "Vier cijfers en twee letters, zoals 3511 AA."),
)
def odd_postal_code(location: Object) -> Hits:
    code = location.get("postal_code")
    is_fine = not code or location["country"] != "NLD" or _POSTAL_CODE(code) or code == "#NA"
    return None if is_fine else ["/postal_code"]


_POSTAL_CODE = re.compile(r"[1-9][0-9]{3} ?[A-Z]{2}", re.IGNORECASE | re.ASCII).fullmatch


@rule(
    EVSE,
    id="S-evse_id",
    severity=WARNING,
    source="protocol §1.1: eMI3; OCPI prints no pattern",
    message=(
        "evse_id {value} does not look like one: country, operator, E, number",
        "evse_id {value} ziet er niet uit als een evse_id: land, exploitant, E, nummer",
    ),
    hint=(
        "For example NL*EXA*E1001*1, or the same without the asterisks.",
        "Bijvoorbeeld NL*EXA*E1001*1, of hetzelfde zonder sterretjes.",
    ),
)
def odd_evse_id(evse: Object) -> Hits:
    evse_id = evse.get("evse_id")
    return None if evse_id is None or _EVSE_ID(evse_id) else ["/evse_id"]


_PLAIN_EVSE_ID = re.compile(r"[A-Z]{2}[A-Z0-9]{3}E[A-Z0-9]+", re.ASCII).fullmatch
_EVSE_ID = re.compile(r"([A-Z]{2})\*?([A-Z0-9]{3})\*?E[A-Z0-9*]{1,30}", re.IGNORECASE | re.ASCII).fullmatch


@rule(
    EVSE,
    id="N-parking_restrictions",
    severity=WARNING,
    source='NDW DOT-NL, "AFIR"; protocol §6.1 L-15',
    message=(
        "parking_restrictions is empty; NDW has not said whether that is enough",
        "parking_restrictions is leeg; NDW heeft niet gezegd of dat genoeg is",
    ),
    hint=("Give a value if there is a restriction.", "Geef een waarde op als er een beperking is."),
    trigger=r'"parking_restrictions":\[\]',
)
def empty_parking_restrictions(evse: Object) -> Hits:
    return ["/parking_restrictions"] if evse.get("parking_restrictions") == [] else None


@rule(
    PublishTokenType,
    id="S-token",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "PublishTokenType class"',
    message=(
        "None of uid, visual_number and group_id is given; at least one is required",
        "Geen van uid, visual_number en group_id is opgegeven; ten minste één is verplicht",
    ),
    trigger=r'"publish_allowed_to":\[\{',
)
def names_no_token(token: Object) -> Hits:
    return None if token.get("uid") or token.get("visual_number") or token.get("group_id") else [""]


@rule(
    PublishTokenType,
    id="S-token",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "PublishTokenType class"',
    message=(
        "type is missing; uid {uid} needs it",
        "type ontbreekt; het is verplicht bij uid {uid}",
    ),
    hint=("For a charge card: RFID.", "Voor een laadpas: RFID."),
    trigger=r'"publish_allowed_to":\[\{',
)
def uid_without_type(token: Object) -> Hits:
    return ["/type"] if token.get("uid") and not token.get("type") else None


@rule(
    PublishTokenType,
    id="S-token",
    severity=ERROR,
    source='OCPI 2.2.1 mod_locations, "PublishTokenType class"',
    message=(
        "issuer is missing; visual_number {visual_number} needs it",
        "issuer ontbreekt; het is verplicht bij visual_number {visual_number}",
    ),
    trigger=r'"publish_allowed_to":\[\{',
)
def visual_number_without_issuer(token: Object) -> Hits:
    return ["/issuer"] if token.get("visual_number") and not token.get("issuer") else None


@rule(
    EnergyMix,
    id="L-18",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "EnergyMix class"',
    message=(
        "The percentages of energy_sources add up to {sum}; expected 100",
        "De percentages van energy_sources tellen op tot {sum}; verwacht wordt 100",
    ),
)
def sources_do_not_add_up(mix: Object) -> Hits:
    sources = mix.get("energy_sources")
    if not sources or 99.9 <= (total := round(sum([source["percentage"] for source in sources]), 6)) <= 100.1:
        return None
    return {"/energy_sources": {"sum": total}}


@rule(
    EnergyMix,
    id="L-18",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "EnergyMix class"',
    message=(
        "is_green_energy is true, which means all regenerative, without CO2 and nuclear waste; here is also {grey}",
        "is_green_energy is true, dus alles hernieuwbaar, zonder CO2 en kernafval; hier staat ook {grey}",
    ),
    hint=("Set is_green_energy to false.", "Zet is_green_energy op false."),
    trigger=r'"(?:source":"(?:NUCLEAR|COAL|GAS|GENERAL_FOSSIL)|amount":[1-9]|amount":0\.)',
)
def green_with_fossil_or_nuclear(mix: Object) -> Hits:
    if not mix["is_green_energy"]:
        return None
    sources, impacts = mix.get("energy_sources", ()), mix.get("environ_impact", ())
    grey = [source["source"] for source in sources if source["source"] in _NOT_GREEN and source["percentage"] > 0]
    grey += [impact["category"] for impact in impacts if impact["amount"] > 0]
    return {"/is_green_energy": {"grey": Words(", ".join(dict.fromkeys(grey)))}} if grey else None


_NOT_GREEN = frozenset({"NUCLEAR", "COAL", "GAS", "GENERAL_FOSSIL"})
