"""What the pages of a Location or Tariff tell of its versions: what came with each, the document, NDW's answers.

What CPOs and NDW wrote is escaped.
"""

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import orjson
from django.db.models import Prefetch
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ocpi import history
from ocpi.admin import tables
from ocpi.history import Difference, Served
from ocpi.models import OcpiObject, Push, PushAttempt
from ocpi.rules.findings import shown
from tenants import html

REQUESTS = 50  # of an object that its page shows
FEW, LATEST = 6, 5  # changes of one upload that are told; uploads on the object's own page
LARGEST_SHOWN = 12_000  # bytes of a document that come with the page


# --- Words -------------------------------------------------------------------------------------------------------------


def changes(before: Served | None, after: Served) -> SafeString:
    """Tell what came with a version, in a line for each place."""
    if before is None:
        return format_html("{}", _("what was before is not known"))
    found = history.differences(before.document, after.document)
    words = [*map(_words, filter(_is_news, found))]
    if before.is_shown != after.is_shown:
        words.insert(0, _("shown to NDW") if after.is_shown else _("not shown to NDW any more"))
    if len(words) > FEW:
        left = len(words) - FEW
        more = ngettext("and %(count)s other place", "and %(count)s other places", left) % {"count": left}
        words[FEW:] = [more]
    return format_html_join("", "<div>{}</div>", ((one,) for one in words or [_("only its time")]))


def _is_news(one: Difference) -> bool:
    return not one.path.endswith("/last_updated")


def _words(one: Difference) -> str:
    """Return one difference as a sentence: `EVSE E1: status AVAILABLE → CHARGING`."""
    who, what = _named(one.path)
    if one.is_added:
        words = _("%(what)s added: %(value)s") if what else _("added")
    elif one.is_removed:
        words = _("%(what)s removed: %(value)s") if what else _("removed")
    else:
        words = _("%(what)s %(before)s → %(after)s")
    value = one.before if one.is_removed else one.after
    said = words % {"what": what, "value": _short(value), "before": _short(one.before), "after": _short(one.after)}
    return f"{who}: {said}" if who else said


def _named(path: str) -> tuple[str, str]:
    """Return whom a path concerns and what of it: `("EVSE E1, connector 2", "tariff_ids")`."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    who = []
    if steps[:1] == ["evses"] and len(steps) > 1:
        who.append(_("EVSE %(uid)s") % {"uid": steps[1]})
        steps = steps[2:]
        if steps[:1] == ["connectors"] and len(steps) > 1:
            who.append(_("connector %(id)s") % {"id": steps[1]})
            steps = steps[2:]
    return ", ".join(who), " ".join(steps)


def _short(value: Any) -> str:
    """Return a value as a sentence shows it; lists and objects as JSON."""
    if isinstance(value, str):
        return value if value.isalnum() or "_" in value else shown(value)
    if isinstance(value, dict | list):
        return shown(orjson.dumps(value).decode()).strip('"').replace('\\"', '"')
    return shown(value)


# --- On the object's own page ------------------------------------------------------------------------------------------


def latest(of: OcpiObject) -> SafeString:
    """Show the last versions, and lead to all of them."""
    states = [history.present(of), *history.versions(of, limit=LATEST)]
    rows = [(html.time(since), changes(before, one)) for one, before, since in dated(states)[:LATEST]]
    link = html.link(_("All versions, and what NDW had at a given moment"), view_of(of), of.pk)
    return format_html("{}<p>{}</p>", html.table([_("Since"), _("What came with it")], rows, ""), link)


def document(of: OcpiObject, body: bytes, **query: object) -> SafeString:
    """Show a document folded away; lead to it when it is large."""
    size = _("%(size)s kB") % {"size": html.number(len(body) / 1000, 1)}
    if len(body) > LARGEST_SHOWN:
        return format_html(
            "{} ({})", html.link(_("The document as JSON"), view_of(of, "document"), of.pk, **query), size
        )
    folded = '<details class="folded"><summary>{} ({})</summary>{}</details>'
    return format_html(folded, _("The document as JSON"), size, html.document(orjson.loads(body)))


LAST_REQUESTS = Prefetch("push_attempts", PushAttempt.objects.all()[:REQUESTS], to_attr="last_requests")


def requests(pushes: Iterable[Push]) -> SafeString | str:
    """Show the last requests (LAST_REQUESTS) that brought an object to NDW, over whatever Connection, and the answers."""
    found = [(push, attempt) for push in pushes for attempt in push.last_requests]  # type: ignore[attr-defined]
    found.sort(key=lambda one: (one[1].started_at, one[1].pk), reverse=True)
    headers = [_("Sent"), _("Over"), _("Method"), _("Outcome"), _("HTTP"), _("OCPI"), _("Change was"), _("NDW said")]
    return html.table(headers, (_request(*one) for one in found[:REQUESTS]), _("None yet."))


def _request(push: Push, one: PushAttempt) -> tuple[object, ...]:
    return (
        html.link(html.time(one.started_at), "ocpi_pushattempt_change", one.pk),
        push.connection.get_environment_display(),
        one.method,
        tables.outcome(one),
        one.http_status or html.NOTHING,
        one.ocpi_status or html.NOTHING,
        _age(one),
        tables.words(one.answer),
    )


def _age(one: PushAttempt) -> str:
    """Return how old the oldest change was when NDW had answered."""
    if one.changed_at is None:
        return html.NOTHING
    seconds = (_answered_at(one) - one.changed_at).total_seconds()
    return _("%(seconds)s s old") % {"seconds": f"{seconds:,.1f}"}


def _answered_at(one: PushAttempt) -> dt.datetime:
    return one.started_at + dt.timedelta(milliseconds=one.took_ms)


def statuses_since(of: OcpiObject) -> dict[str, dt.datetime]:
    """Return by EVSE since when its status holds, where one of the last uploads was that and nothing else came after it."""
    since: dict[str, dt.datetime] = {}
    for evse_uid, until_at in history.kept(of).values_list("evse_uid", "until_at")[:500]:
        if not evse_uid:
            break
        since.setdefault(evse_uid, until_at)
    return since


def dated(states: list[Served]) -> list[tuple[Served, Served | None, dt.datetime]]:
    """Return each version with the one before it and since when it was served; of the oldest that is the upload's time."""
    found = [(one, before, before.until_at or one.since_at) for one, before in pairwise(states)]
    return found + [(one, None, one.since_at) for one in states[-1:]]


def view_of(of: OcpiObject, what: str = "versions") -> str:
    return f"ocpi_{of._meta.model_name}_{what}"
