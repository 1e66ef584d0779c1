"""The rules about what an upload does to what is stored, and about objects that concern each other.

`ocpi.documents`, `ocpi.store`, `ocpi.problems` and the views find the breaches; the words are here with all others.

Source: OCPI 2.2.1 mod_locations, "Flow and Lifecycle"; protocol §2.3, §2.9, §6.1, §6.2; design §7.
"""

from itertools import chain

from ocpi.rules.findings import ERROR, WARNING, Finding, Rule, Text

NOT_JSON = Rule(
    "not_json", "S-json", ERROR, "OCPI 2.2.1 status_codes; protocol §2.6: answered with HTTP 400",
    Text("The body is not acceptable JSON: {why}", "De inhoud is geen bruikbare JSON: {why}"),
    Text(
        "No double keys, NaN, Infinity, byte order mark or half characters; UTF-8.",
        "Geen dubbele sleutels, NaN, Infinity, byte order mark of halve tekens; UTF-8.",
    ),
)  # fmt: skip
URL_DIFFERS = Rule(
    "url_differs", "L-14", ERROR, 'OCPI 2.2.1 transport_and_format, "Errors"; NDW DOT-NL, "Push"; protocol §2.3',
    Text("{name} {value} differs from {url} in the URL", "{name} {value} wijkt af van {url} in de URL"),
)  # fmt: skip
FOREIGN_PARTY = Rule(
    "foreign_party", "L-14", ERROR, "protocol §7.8: under another party NDW silently hides the data",
    Text("{name} is {value}, but your party is {own}", "{name} is {value}, maar uw partij is {own}"),
)  # fmt: skip
_STALE = "protocol §2.9; design §7: newest wins"
STALE = Rule(
    "stale", "S-stale", ERROR, _STALE,
    Text(
        "last_updated {given} is older than {sent}, which you last sent for this {what}; not applied",
        "last_updated {given} is ouder dan {sent}, wat u het laatst voor deze {what} stuurde; niet toegepast",
    ),
    Text("Send what is true now, with its own time.", "Stuur wat nu waar is, met de eigen tijd."),
)  # fmt: skip
DELETED_SINCE = Rule(
    "deleted_since", "S-stale", ERROR, "design §7: tombstones",
    Text(
        "last_updated {given} is not newer than {sent}, that of the Tariff you deleted; not applied",
        "last_updated {given} is niet nieuwer dan {sent}, die van het tarief dat u wiste; niet toegepast",
    ),
)  # fmt: skip
TOO_LARGE = Rule(
    "location_too_large", "S-size", ERROR, "our own limit: as much as one PUT may carry",
    Text("the Location would have more than {bytes} bytes", "de Location zou meer dan {bytes} bytes krijgen"),
    Text("Make it two Locations.", "Maak er twee Locations van."),
)  # fmt: skip
STALE_EVSE = Rule(
    "stale_evse", "S-stale", WARNING, _STALE,
    Text(
        "this EVSE is older than what you last sent for it; the newer one was kept",
        "deze EVSE is ouder dan wat u er het laatst voor stuurde; de nieuwere is behouden",
    ),
    is_repair=True,
)  # fmt: skip
STALE_CONNECTOR = Rule(
    "stale_connector", "S-stale", WARNING, _STALE,
    Text(
        "this Connector is older than what you last sent for it; the newer one was kept",
        "deze Connector is ouder dan wat u er het laatst voor stuurde; de nieuwere is behouden",
    ),
    is_repair=True,
)  # fmt: skip
NEWER_KEPT = Rule(
    "newer_evse_kept", "L-04", WARNING, _STALE,
    Text(
        "EVSE {uid} is missing, but what you sent for it is newer; it was kept",
        "EVSE {uid} ontbreekt, maar wat u ervoor stuurde is nieuwer; hij is behouden",
    ),
    is_repair=True,
)  # fmt: skip
SET_REMOVED = Rule(
    "missing_evse_removed", "L-04", WARNING, 'OCPI 2.2.1 mod_locations, "Flow and Lifecycle"; protocol §6.1 L-04',
    Text(
        "EVSE {uid} is missing; it was set to REMOVED", "EVSE {uid} ontbreekt; hij is op REMOVED gezet"
    ),
    Text("EVSEs are never deleted.", "EVSE's worden nooit gewist."),
    is_repair=True,
)  # fmt: skip
BROUGHT_BACK = Rule(
    "removed_brought_back", "L-03", WARNING, "protocol §6.1 L-03",
    Text("REMOVED is final; the EVSE was brought back", "REMOVED is definitief; de EVSE is teruggehaald"),
    Text("A new EVSE gets a new uid.", "Een nieuwe EVSE krijgt een nieuwe uid."),
    is_repair=True,
)  # fmt: skip
WITHHELD = Rule(
    "withheld_elsewhere", "S-withheld", WARNING, "design §3",
    Text(
        "the Location is withheld from NDW; gaps elsewhere in it: {count}",
        "de Location wordt niet aan NDW geleverd; gebreken elders erin: {count}",
    ),
    Text("PUT or PATCH the Location to see them.", "Doe een PUT of PATCH van de Location om ze te zien."),
    is_repair=True,
)  # fmt: skip
STILL_NAMED = Rule(
    "tariff_still_named", "T-22", ERROR, 'OCPI 2.2.1 mod_tariffs, "DELETE Method"; protocol §6.2 T-22',
    Text(
        "connectors still name this Tariff; Locations: {locations}",
        "connectors noemen dit tarief nog; Locations: {locations}",
    ),
    Text("Take the tariff off these connectors first.", "Haal het tarief eerst van deze connectors af."),
)  # fmt: skip

MORE = Rule(
    "more_of_a_rule", "S-more", WARNING, "our own limit",
    Text("{rule}: findings that are not listed: {count}", "{rule}: bevindingen die hier niet staan: {count}"),
)  # fmt: skip
MAX_FINDINGS = 100  # of one rule about one object


def capped(findings: list[Finding]) -> list[Finding]:
    """Return at most MAX_FINDINGS of each rule, and how many were left out."""
    if len(findings) <= MAX_FINDINGS:
        return findings
    kept, left_out = dict[str, list[Finding]](), dict[str, int]()
    for finding in findings:
        same = kept.setdefault(finding.broken.name, [])
        if len(same) < MAX_FINDINGS:
            same.append(finding)
        else:
            left_out[finding.rule] = left_out.get(finding.rule, 0) + 1
    return [*chain.from_iterable(kept.values())] + [
        MORE.at("", rule=rule, count=count) for rule, count in left_out.items()
    ]


# --- Objects that concern each other: never kept with one of them, always looked up anew ---

UNKNOWN_TARIFF = Rule(
    "unknown_tariff", "L-25", WARNING, "protocol §6.1 L-25: OCPI demands no integrity, but a driver sees no price",
    Text("Tariff {value} is not known here", "Tarief {value} is hier niet bekend"),
    Text("Upload it; it must be of the same party.", "Upload het; het moet van dezelfde partij zijn."),
)  # fmt: skip
TWO_TARIFFS = Rule(
    "two_tariffs_of_a_type", "L-26", WARNING, 'OCPI 2.2.1 mod_locations, "Connector object"; protocol §6.1 L-26',
    Text(
        "Tariffs {value} and {other} are both {type} and valid at the same time; which one counts is not defined",
        "Tarieven {value} en {other} zijn allebei {type} en gelden tegelijk; welke telt is niet vastgelegd",
    ),
    Text(
        "Keep one, or give them periods that do not overlap.",
        "Houd er een, of geef ze perioden die niet overlappen.",
    ),
)  # fmt: skip
TWO_UNTYPED = Rule(
    "two_tariffs_without_type", "L-26", WARNING, TWO_TARIFFS.source,
    Text(
        "Tariffs {value} and {other} both have no type and are valid at the same time; which one counts is not defined",
        "Tarieven {value} en {other} hebben allebei geen type en gelden tegelijk; welke telt is niet vastgelegd",
    ),
    Text("Give them a type, or keep one.", "Geef ze een type, of houd er een."),
)  # fmt: skip
UID_ELSEWHERE = Rule(
    "uid_elsewhere", "L-29", WARNING, 'OCPI 2.2.1 mod_locations, "EVSE object"; protocol §6.1 L-29',
    Text(
        "EVSE uid {value} stands in Location {other} too; a uid is unique within the party",
        "EVSE-uid {value} staat ook in Location {other}; een uid is uniek binnen de partij",
    ),
    Text(
        "If it moved, set it to REMOVED where it was and give it a new uid.",
        "Is hij verplaatst, zet hem dan op REMOVED waar hij was en geef hem een nieuwe uid.",
    ),
)  # fmt: skip
EVSE_ID_ELSEWHERE = Rule(
    "evse_id_elsewhere", "S-evse_id", WARNING, "protocol §1.1: evse_id is unique in the real world",
    Text("evse_id {value} stands in Location {other} too", "evse_id {value} staat ook in Location {other}"),
    Text(
        "The number on the charge point is one EVSE's; set the other to REMOVED or correct it.",
        "Het nummer op de laadpaal is van één EVSE; zet de andere op REMOVED of verbeter het.",
    ),
)  # fmt: skip
EVSE_ID_ABROAD = Rule(
    "evse_id_at_another_party", "S-evse_id", WARNING, "protocol §1.1: evse_id is unique in the real world",
    Text("evse_id {value} is delivered by another party too", "evse_id {value} wordt ook door een andere partij geleverd"),
    Text("Ask the aggregator which of you operates it.", "Vraag de aggregator wie van u hem beheert."),
)  # fmt: skip
