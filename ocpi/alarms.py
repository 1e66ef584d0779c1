"""Say aloud that NDW lacks a change for too long: one ERROR line a minute and one mail in half an hour per Connection.

Beat and the relay both look, so that neither Redis nor a worker is needed; whoever changes the Alarm row first speaks.
Only production counts. Source: design §4, §7 "Connections"; reliability C21, C34.
"""

import datetime as dt
import logging

from django.conf import settings
from django.core import mail
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ocpi import clock
from ocpi.clock import Waiting
from ocpi.models import Alarm
from tenants.models import Connection, Environment

logger = logging.getLogger(__name__)

LATE_S = 45.0
LOG_EVERY = dt.timedelta(minutes=1)
MAIL_EVERY = dt.timedelta(minutes=30)


def watch() -> int:
    """Raise an alarm for each production Connection whose oldest change is late, end the others; return how many last."""
    production = Connection.objects.filter(environment=Environment.PRODUCTION, is_retired=False)
    found = clock.waiting(production.select_related("tenant", "service_account"))
    late = [one for one in found if one.seconds > LATE_S]
    if late:
        rows = [Alarm(tenant_id=one.connection.tenant_id, connection=one.connection) for one in late]
        Alarm.objects.bulk_create(rows, ignore_conflicts=True)
    for one in late:
        _raise(one)
    _end_others([one.connection.pk for one in late])
    return len(late)


def _raise(one: Waiting) -> None:
    """Speak, unless somebody has just done so."""
    alarm = Alarm.objects.filter(tenant=one.connection.tenant_id, connection=one.connection)
    alarm.filter(opened_at=None).update(opened_at=Now())
    text = f"{one.connection}: NDW has lacked {one.kind} {one.ocpi_id} for {one.seconds:.0f} s: {one.reason}"
    if _is_first(alarm, "logged_at", LOG_EVERY):
        logger.error("%s", text)
    if settings.ALERT_EMAILS and _is_first(alarm, "mailed_at", MAIL_EVERY):
        _mail(alarm, one, text)


def _is_first(alarm: QuerySet[Alarm], field: str, every: dt.timedelta) -> bool:
    """Note the moment and return True, for one caller in that time."""
    is_due = Q(**{field: None}) | Q(**{f"{field}__lte": Now() - every})
    return alarm.filter(is_due).update(**{field: Now()}) == 1


def _mail(alarm: QuerySet[Alarm], one: Waiting, text: str) -> None:
    """Send the mail; where that fails, it is tried again in a minute."""
    where = f"\n\n{settings.PUBLIC_URL}/admin/ocpi/push/minute/" if settings.PUBLIC_URL else ""
    try:
        mail.send_mail(f"NDW lacks changes of {one.connection.tenant}", text + where, None, settings.ALERT_EMAILS)
    except (OSError, ValueError) as error:  # the mail server's, or an address it cannot be
        logger.warning("alarm of %s not mailed: %s; trying again", one.connection, error)
        alarm.update(mailed_at=Now() - MAIL_EVERY + LOG_EVERY)


def _end_others(late: list[int]) -> None:
    for alarm in (
        Alarm.objects.exclude(opened_at=None).exclude(connection__in=late).select_related("connection__tenant")
    ):
        if Alarm.objects.filter(pk=alarm.pk, opened_at=alarm.opened_at).update(opened_at=None):
            logger.info("%s: recovered; late since %s", alarm.connection, f"{alarm.opened_at:%Y-%m-%d %H:%M:%S %Z}")
