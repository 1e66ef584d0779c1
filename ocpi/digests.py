"""Mail tenants once a day what the status watch found: those that asked for it, when there is something to say.

Whoever notes the day first sends; where the mail server fails, the day is given back and the next run tries again.
"""

import datetime as dt
import logging

from django.conf import settings
from django.core import mail
from django.db.models import Count, Q, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from ocpi.models import Lookout, Watched
from tenants.models import Tenant

logger = logging.getLogger(__name__)

LISTED = 50
LANGUAGES = {"nl": "Nederlands", "en": "English"}
DUTCH_FIRST = {"NL", "BE"}
NEW = dt.timedelta(hours=24)


def send() -> int:
    """Mail every digest that is due today; return how many."""
    today = timezone.localdate()
    wanted = Q(tenant__has_digest=True, tenant__is_active=True, looked_at__isnull=False)
    waiting = Lookout.objects.filter(wanted, _is_open(today)).exclude(tenant__contact_email="")
    return sum(_send(one, today) for one in waiting.select_related("tenant").order_by("pk"))


def _is_open(today: dt.date) -> Q:
    return Q(mailed_on=None) | Q(mailed_on__lt=today)


def _send(lookout: Lookout, today: dt.date) -> bool:
    """Mail one digest, if nobody else does."""
    own = Lookout.objects.filter(pk=lookout.pk)
    if not own.filter(_is_open(today)).update(mailed_on=today):
        return False
    tenant, found = lookout.tenant, Watched.objects.filter(tenant=lookout.tenant)
    if not found.exists():
        return False
    subject, text = write(lookout)
    try:
        mail.send_mail(subject, text, None, [tenant.contact_email])
    except (OSError, ValueError) as error:  # the mail server's, or an address it cannot be
        logger.warning("%s: digest not mailed: %s; trying again", tenant, error)
        own.filter(mailed_on=today).update(mailed_on=lookout.mailed_on)
        return False
    logger.info("%s: digest mailed", tenant)
    return True


def write(lookout: Lookout) -> tuple[str, str]:
    """Return subject and text, in Dutch and in English; where Dutch is spoken, Dutch first."""
    order = sorted(LANGUAGES, reverse=lookout.tenant.country_code in DUTCH_FIRST)
    parts = []
    for language in order:
        with translation.override(language):
            parts.append((_subject(lookout.tenant), f"{LANGUAGES[language]}\n\n{_text(lookout)}"))
    return parts[0][0], f"\n\n{'-' * 60}\n\n".join(text for _, text in parts)


def _subject(tenant: Tenant) -> str:
    count = Watched.objects.filter(tenant=tenant).count()
    return _("Status watch of %(party)s: %(count)s to look at") % {"party": tenant, "count": count}


def _text(lookout: Lookout) -> str:
    tenant, found = lookout.tenant, Watched.objects.filter(tenant=lookout.tenant)
    shown = found.select_related("location").order_by("-found_at", "pk")[:LISTED]
    lines = [
        _("Statuses of %(name)s (%(party)s) that are hard to believe, as of %(at)s:")
        % {"name": tenant.name, "party": tenant, "at": _time(lookout.looked_at)},
        "",
        *_counts(found),
        "",
        _("The newest %(count)s:") % {"count": len(shown)},
        *(_line(one) for one in shown),
        "",
        _("All of them: %(url)s") % {"url": _url("ocpi_watched_changelist")} if settings.PUBLIC_URL else "",
        _("This mail comes once a day, if there is something to say; the gateway's operator can switch it off."),
    ]
    return "\n".join(lines)


def _counts(found: QuerySet[Watched]) -> list[str]:
    since = timezone.now() - NEW
    counted = (
        found.order_by().values("kind").annotate(count=Count("pk"), new=Count("pk", filter=Q(found_at__gte=since)))
    )
    by_kind = {row["kind"]: row for row in counted}
    return [
        "- "
        + _("%(what)s: %(count)s (%(new)s of them new within a day)")
        % {"what": kind.label, "count": by_kind[kind]["count"], "new": by_kind[kind]["new"]}
        for kind in Watched.Kind
        if kind in by_kind
    ]


def _line(one: Watched) -> str:
    where = f"{one.location} / {one.evse_uid}" if one.location else _("the whole fleet")
    parts = [str(one.get_kind_display()), where, one.status]
    if one.since_at:
        parts.append(_("since %(at)s") % {"at": _time(one.since_at)})
    if one.changes:
        parts.append(_("%(count)s changes within 24 hours") % {"count": one.changes})
    line = "- " + ", ".join(filter(None, parts))
    is_linked = settings.PUBLIC_URL and one.location_id
    return f"{line}\n  {_url('ocpi_location_change', one.location_id)}" if is_linked else line


def _time(at: dt.datetime | None) -> str:
    return timezone.localtime(at).strftime(_("%Y-%m-%d %H:%M")) if at else "-"


def _url(view: str, *args: object) -> str:
    return settings.PUBLIC_URL + reverse(f"admin:{view}", args=args)
