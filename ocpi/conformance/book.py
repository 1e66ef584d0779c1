"""What a Sender is held to, rule by rule, and the report of what was seen. Source: protocol §2 to §4, §8."""

import enum
from collections import Counter
from dataclasses import dataclass, field

KEPT_EXAMPLES = 5


class Level(enum.StrEnum):
    """How much a broken rule matters."""

    MUST = "must"  # a peer that goes by the book loses data, or stops
    ADVICE = "advice"  # OCPI advises it, leaves it open, or most peers expect it


@dataclass(frozen=True)
class Rule:
    """One thing a Sender does."""

    id: str
    level: Level
    source: str
    words: str


def _rules(level: Level, source: str, **words: str) -> list[Rule]:
    return [Rule(name.replace("_", "-"), level, source, text) for name, text in words.items()]


_BOOK = [
    *_rules(
        Level.MUST,
        "OCPI 2.2.1 transport_and_format, Response format",
        answers="Every request is answered, whole and within a minute.",
        json="An answer is strict JSON in UTF-8: no BOM, no NaN, no key twice.",
        content_type="Answers are application/json.",
        envelope="Every answer, errors too, is an envelope with an integer status_code of four digits.",
        timestamp="The envelope has a timestamp: a DateTime in UTC.",
        success="What is asked rightly is answered with HTTP 200 and a status_code of 1xxx.",
        list_data="The data of a list is an array, also when it is empty.",
        no_redirect="No request is redirected.",
    ),
    *_rules(
        Level.MUST,
        "OCPI 2.2.1 transport_and_format, Unique message ids",
        ids_echoed="X-Request-ID and X-Correlation-ID come back as they were sent, on errors too.",
    ),
    *_rules(
        Level.MUST,
        "OCPI 2.2.1 transport_and_format, Authorization header",
        no_credential="Without Authorization: HTTP 401.",
        bad_credential="With an unknown credential: HTTP 401.",
        bad_scheme="With the right token behind another scheme: HTTP 401.",
    ),
    *_rules(
        Level.ADVICE,
        "OCPI 2.2.1 transport_and_format, Authorization header",
        encodings="The token is taken in Base64, raw, and in Base64 with a newline inside: peers send all three.",
        challenge="A 401 says with WWW-Authenticate what is wanted.",
    ),
    *_rules(
        Level.MUST,
        "OCPI 2.2.1 version_information_endpoint",
        versions="Versions is a list of {version, url} with 2.2.1 and absolute URLs.",
        details="The details name the version and its endpoints: identifier, role, absolute url.",
        modules="There are SENDER endpoints for locations and tariffs.",
    ),
    *_rules(
        Level.MUST,
        "OCPI 2.2.1 transport_and_format, Pagination",
        total="X-Total-Count is a number on every page.",
        limit="X-Limit is a number on every page, and no page is longer than that or than what was asked for.",
        limit_steady="X-Limit is the same on every page of a crawl.",
        limit_capped="A limit above the server's own is capped, not refused.",
        link='Link rel="next" is an absolute URL of the same list, and never leads from https to http.',
        link_filters="Link carries all filters as they were asked, and offset and limit.",
        link_ends="The last page has no Link, also when it is exactly full; Link never goes in a circle.",
        complete="Along Link there are as many objects as X-Total-Count says.",
        once="No object comes twice.",
        steady="The same list asked again has the same order.",
        offset="Stepping offset by hand gives the same objects as following Link.",
        date_from="date_from keeps what is as new or newer.",
        date_to="date_to keeps what is older, and not what is as new.",
        date_forms="A DateTime without zone and one with a fraction are taken.",
    ),
    *_rules(
        Level.ADVICE,
        "OCPI 2.2.1 status_codes, Pagination",
        beyond="An offset behind the end gives an empty list without Link.",
        bad_parameter="A limit, offset or date that is none is told with HTTP 200 and 2xxx, or HTTP 400; never with data or 5xx.",
        unknown_parameter="An unknown query parameter changes nothing.",
        slash="A URL with a slash at its end is the same.",
    ),
    *_rules(
        Level.MUST,
        "OCPI 2.2.1 mod_locations, Sender Interface",
        single="A Location can be asked for by its id and is the one of the list.",
        part="An EVSE and a Connector can be asked for below their Location.",
        identity="Every object has country_code, party_id, id and last_updated.",
        no_null_list="Lists that must not be empty (connectors, elements, price_components) are there; no list is null.",
    ),
    *_rules(
        Level.ADVICE,
        "OCPI 2.2.1 mod_locations, Sender Interface",
        unknown_object="An unknown Location, EVSE or Connector is HTTP 404 in an envelope.",
        one_party="All objects of a list are of one party, which the URL or the token stands for.",
    ),
    *_rules(
        Level.ADVICE,
        "OCPI 2.2.1 mod_locations, Connector",
        known_tariffs="Every tariff that a connector names is in the list of tariffs.",
        child_times="No EVSE or Connector is newer than what it is part of.",
    ),
    *_rules(Level.MUST, "OCPI 2.2.1 mod_locations, mod_tariffs, Object description", objects="Every object is valid."),
    *_rules(Level.ADVICE, "NDW DOT-NL, mandatory fields", dot_nl="Every object has what DOT-NL demands."),
]  # fmt: skip
RULES = {rule.id: rule for rule in _BOOK}


@dataclass
class Report:
    """What was seen: how often each rule was looked at, and where it was broken."""

    looked: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    objects: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    seconds: float = 0.0
    secrets: list[str] = field(default_factory=list)  # never shown, whoever repeats them

    def check(self, rule: str, is_kept: object, where: str = "", what: object = "") -> bool:
        """Note one look at a rule; `where` and `what` say what was wrong. Raises KeyError for a rule that is not in the book."""
        self.looked[RULES[rule].id] += 1
        if is_kept:
            return True
        self.broken[rule] += 1
        examples = self.examples.setdefault(rule, [])
        if len(examples) < KEPT_EXAMPLES:
            examples.append(self.clean(f"{where}: {str(what)[:1000]}" if what != "" else where)[:300])
        return False

    def clean(self, text: str) -> str:
        """Return a text without our credentials."""
        for secret in self.secrets:
            text = text.replace(secret, "<credential>")
        return text

    def state(self, rule: str) -> str:
        """Return `kept`, `broken` or `not seen`."""
        return "broken" if self.broken[rule] else "kept" if self.looked[rule] else "not seen"

    @property
    def is_sound(self) -> bool:
        """Return True when no rule is broken that a peer relies on."""
        return not any(RULES[rule].level is Level.MUST for rule in self.broken if self.broken[rule])
