"""NDW's nine connection steps for one tenant: each shows its evidence by itself, a person ticks it. NDW decides.

Source: NDW DOT-NL, "Connection steps"; protocol §7.1.
"""

import datetime as dt
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ocpi.evidence import Facts
from ocpi.models import Crawl
from tenants.html import number
from tenants.models import ConnectionStep, Environment

STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION
WORST = 3  # gaps and warnings that are named


class State(StrEnum):
    """How far a step is."""

    NOTHING = "nothing"
    UNDER_WAY = "under way"
    READY = "ready"
    TICKED = "ticked"


class Link(NamedTuple):
    """Where to look: words, the admin's view and its arguments."""

    words: str
    view: str
    args: tuple[Any, ...] = ()


class Evidence(NamedTuple):
    """What we know of a step by ourselves."""

    state: State
    words: list[str]
    links: list[Link]


class Step(NamedTuple):
    """One of the nine."""

    number: int
    title: str
    meaning: str
    permission: str
    evidence: Evidence
    ticked: ConnectionStep | None

    @property
    def state(self) -> State:
        """Return how far it is; a tick outweighs what we know."""
        return State.TICKED if self.ticked else self.evidence.state

    @property
    def wants_note(self) -> bool:
        """Return whether a tick has to say why: the evidence does not."""
        return self.evidence.state != State.READY


def steps(facts: Facts) -> list[Step]:
    """Return the nine, in order. One query."""
    ticked = {one.number: one for one in facts.tenant.connection_steps.select_related("done_by")}
    return [
        Step(number, str(title), str(meaning), permission, find(facts), ticked.get(number))
        for number, (title, meaning, permission, find) in enumerate(_NINE, 1)
    ]


# --- Evidence ----------------------------------------------------------------------------------------------------------


def _pull_credentials(facts: Facts) -> Evidence:
    found = list(facts.pull_credentials())
    live = [one for one in found if one.is_live]
    used = [one.last_used_at for one in found if one.last_used_at]
    words = []
    if live or used:
        issued_at = min(one.created_at for one in found if one.is_live or one.last_used_at)
        words.append(_("Issued on %(day)s") % {"day": day(issued_at)})
        words.append(_("last used on %(day)s") % {"day": day(max(used))} if used else _("never used yet"))
        if not live:
            words.append(_("none is live now"))
    state = State.READY if used else State.UNDER_WAY if live else State.NOTHING
    return Evidence(state, words or [_("No pull credential has been issued.")], [])


def _locations(facts: Facts) -> Evidence:
    standing, tenant = facts.standing, facts.tenant
    published = standing.shown + standing.withheld
    if not published:
        return Evidence(State.NOTHING, [_("No published Location yet.")], [])
    words = [
        _("%(percent)s %% of %(count)s published Locations are compliant")
        % {"percent": 100 * standing.shown // published, "count": number(published)}
    ]
    worst = sorted(standing.gaps(), key=lambda line: (-line.objects, line.rule))[:WORST]
    if worst:
        named = ", ".join(f"{line.rule.removeprefix('N-')} ({number(line.objects)})" for line in worst)
        words.append(_("missing most: %(fields)s") % {"fields": named})
    links = [Link(_("Problems"), "ocpi_problems_cpo", (tenant,))] if worst else []
    return Evidence(State.READY if standing.is_ready else State.UNDER_WAY, words, links)


def _tariffs(facts: Facts) -> Evidence:
    tariffs, tenant = facts.tariffs, facts.tenant
    if not tariffs.count:
        return Evidence(State.NOTHING, [_("No Tariff yet.")], [])
    words = [
        _("%(percent)s %% of %(count)s Tariffs have no warning")
        % {"percent": tariffs.percent, "count": number(tariffs.count)}
    ]
    if tariffs.warned:
        worst = sorted(tariffs.rules.items(), key=lambda one: (-one[1], one[0]))[:WORST]
        named = ", ".join(f"{rule} ({number(count)})" for rule, count in worst)
        words.append(_("most often: %(rules)s") % {"rules": named})
    links = [Link(_("Problems"), "ocpi_problems_cpo", (tenant,))] if tariffs.warned else []
    return Evidence(State.UNDER_WAY if tariffs.warned else State.READY, words, links)


def _crawled(environment: str) -> Callable[[Facts], Evidence]:
    def find(facts: Facts) -> Evidence:
        lists = {Crawl.Kind.LOCATION: _("Locations"), Crawl.Kind.TARIFF: _("Tariffs")}
        words = []
        for kind, name in lists.items():
            crawl = facts.crawls.get((kind, environment))
            if crawl and crawl.finished_at:
                given = {"list": name, "day": day(crawl.finished_at), "count": number(crawl.objects_count)}
                words.append(_("%(list)s: complete on %(day)s (%(count)s objects)") % given)
        state = [State.NOTHING, State.UNDER_WAY, State.READY][len(words)]
        return Evidence(state, words or [_("No list was pulled to its last page.")], [])

    return find


def _staging_push(facts: Facts) -> Evidence:
    connection = facts.connections.get(STAGING)
    if connection is None:
        return Evidence(State.NOTHING, [_("No connection to staging.")], [])
    account, accepted_at = connection.service_account, facts.accepted_at(STAGING)
    words = [_("Connected")]
    has_token = account.access_token_expires_at is not None
    if has_token:
        words.append(_("NDW issued an access token"))
    if accepted_at:
        words.append(_("a request was accepted on %(day)s") % {"day": day(accepted_at)})
    state = State.READY if has_token or accepted_at else State.UNDER_WAY
    if state != State.READY:
        words.append(_("no access token yet"))
    return Evidence(state, words, [_to(connection)])


def _accepted(kind: str, *methods: str) -> Callable[[Facts], Evidence]:
    def find(facts: Facts) -> Evidence:
        found = {method: facts.accepted_at(STAGING, kind, method) for method in methods}
        words = [
            _("%(method)s accepted on %(day)s") % {"method": method, "day": day(at)}
            if at
            else _("no %(method)s accepted yet") % {"method": method}
            for method, at in found.items()
        ]
        count = sum(at is not None for at in found.values())
        connection = facts.connections.get(STAGING)
        state = State.READY if count == len(methods) else State.UNDER_WAY if count else State.NOTHING
        return Evidence(state, words, [_to(connection)] if connection else [])

    return find


def _production_push(facts: Facts) -> Evidence:
    connection = facts.connections.get(PRODUCTION)
    if connection is None:
        return Evidence(State.NOTHING, [_("No connection to production.")], [])
    accepted_at = facts.accepted_at(PRODUCTION)
    words = [_("Connected")]
    words.append(
        _("a request was accepted on %(day)s") % {"day": day(accepted_at)} if accepted_at else _("nothing accepted yet")
    )
    return Evidence(State.READY if accepted_at else State.UNDER_WAY, words, [_to(connection)])


def _to(connection: Any) -> Link:
    return Link(_("Connection"), "tenants_connection_change", (connection.pk,))


def day(at: dt.datetime) -> str:
    """Return a moment as a day and a time, in the reader's language."""
    return date_format(timezone.localtime(at), _("j M Y H:i"))


_NINE: tuple[tuple[Any, Any, str, Callable[[Facts], Evidence]], ...] = (
    (
        gettext_lazy("Pull credentials"),
        gettext_lazy("NDW gets a token or an OAuth2 client to pull with."),
        "tenants.view_token",
        _pull_credentials,
    ),
    (
        gettext_lazy("Locations validated"),
        gettext_lazy("NDW checks the Locations against its connection schemas."),
        "ocpi.view_location",
        _locations,
    ),
    (gettext_lazy("Tariffs validated"), gettext_lazy("NDW checks the Tariffs likewise."), "ocpi.view_tariff", _tariffs),
    (
        gettext_lazy("Pull by staging"),
        gettext_lazy("NDW's staging pulls both lists to their last page."),
        "ocpi.view_location",
        _crawled(STAGING),
    ),
    (
        gettext_lazy("Pull by production"),
        gettext_lazy("After NDW's approval its production does the same."),
        "ocpi.view_location",
        _crawled(PRODUCTION),
    ),
    (
        gettext_lazy("Push credentials for staging"),
        gettext_lazy("NDW hands out a service account; the connection to staging uses it."),
        "tenants.view_connection",
        _staging_push,
    ),
    (
        gettext_lazy("Location pushes validated"),
        gettext_lazy("Staging accepts a PUT and a PATCH of a Location."),
        "ocpi.view_push",
        _accepted("location", "PUT", "PATCH"),
    ),
    (
        gettext_lazy("Tariff pushes validated"),
        gettext_lazy("Staging accepts a PUT and a DELETE of a Tariff."),
        "ocpi.view_push",
        _accepted("tariff", "PUT", "DELETE"),
    ),
    (
        gettext_lazy("Push to production"),
        gettext_lazy("After NDW's approval changes go to production."),
        "ocpi.view_push",
        _production_push,
    ),
)


# --- Ticking -----------------------------------------------------------------------------------------------------------


class NoteWanted(Exception):
    """A tick without evidence that does not say why."""


def tick(step: Step, facts: Facts, user: Any, note: str) -> bool:
    """Have a person say that NDW passed a step; False when it was ticked before. Raises NoteWanted."""
    if step.wants_note and not note:
        raise NoteWanted
    wanted = {"done_by": user, "done_at": timezone.now(), "note": note}
    return ConnectionStep.objects.get_or_create(tenant=facts.tenant, number=step.number, defaults=wanted)[1]


def untick(step: Step, facts: Facts) -> bool:
    """Take the tick back; False when there is none."""
    return bool(ConnectionStep.objects.filter(tenant=facts.tenant, number=step.number).delete()[0])
