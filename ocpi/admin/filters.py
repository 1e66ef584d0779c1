"""How the lists of Locations and Tariffs are narrowed to what somebody wants to mend; the Problems pages lead here."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from ocpi import overview
from ocpi.admin import tables
from ocpi.admin.lists import ChoiceFilter
from ocpi.models import Location
from ocpi.problems import TOGETHER
from ocpi.rules import ERROR, GAP, RULES, WARNING
from ocpi.rules.findings import shortened
from ocpi.rules.listing import natural
from tenants import scope

MOST = 5000  # of the Locations that break a rule together with others, so many are listed, the largest


class SeverityFilter(ChoiceFilter):
    """By how bad its findings are."""

    title, parameter_name = _("severity"), "severity"
    choices_by_word = {GAP: (_("Gaps"), ~Q(gaps=[])), WARNING: (_("Warnings"), ~Q(warnings=[]))}


class RuleFilter(DropdownFilter):
    """By a rule that is broken. Some rules are gap and warning: with the severity it is the one of them."""

    title, parameter_name = _("rule"), "rule"
    others: tuple[str, ...] = ()  # how the ids of rules begin that such an object cannot break

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name the rules whose findings are kept or looked up."""
        kept = {rule.id: rule.severity for rule in RULES.values() if rule.severity != ERROR and not rule.is_repair}
        return [
            (rule, shortened(": ".join([rule, *tables.rule_words(rule, kept[rule])]), 90))
            for rule in sorted(kept, key=natural)
            if not rule.startswith(self.others) and (rule not in TOGETHER or model_admin.model is Location)
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what breaks the rule; nothing does when there is no such rule."""
        rule, severity = self.value(), request.GET.get("severity")
        if not rule:
            return queryset
        if rule not in dict(self.lookup_choices):
            return queryset.none()
        if rule in TOGETHER:
            return queryset.filter(pk__in=_together(rule, request))
        warned, lacking = Q(warnings__contains=[rule]), Q(gaps__contains=[rule]) if queryset.model is Location else Q()
        meant: dict[str | None, Q] = {None: warned | lacking, GAP: lacking, WARNING: warned}
        return queryset.filter(meant.get(severity, warned | lacking))


def _together(rule: str, request: HttpRequest) -> list[int]:
    tenants, tenant_id = scope.tenants_of(request.user), request.GET.get("tenant__id__exact", "")
    found = overview.concerned(rule, tenants.filter(pk=tenant_id) if tenant_id.isdecimal() else tenants)
    return sorted(found, key=lambda pk: -found[pk])[:MOST]


class LocationRuleFilter(RuleFilter):
    """By a rule that a Location breaks."""

    others = ("T-",)


class TariffRuleFilter(RuleFilter):
    """By a rule that a Tariff breaks."""

    others = ("L-", "N-")


class _LinkFilter(admin.SimpleListFilter):
    """A filter that only links set; it shows while it is set."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name what is set."""
        value = request.GET.get(self.parameter_name or "", "")
        return [(value, value)] if value else []


class MendedFilter(_LinkFilter):
    """By what is held back by these gaps only: mend them, and NDW sees it."""

    title, parameter_name = _("gaps to mend"), "mended"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what would be free."""
        if not self.value():
            return queryset
        rules = (self.value() or "").replace("\0", "").split(",")
        return queryset.filter(is_shown=False, publish=True, gaps__contained_by=rules).exclude(gaps=[])


class TariffFilter(_LinkFilter):
    """By a Tariff that connectors name."""

    title, parameter_name = _("tariff"), "tariff"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the Locations that name it."""
        tariff_id = (self.value() or "").lower().replace("\0", "")
        return queryset.filter(tariff_ids__contains=[tariff_id]) if tariff_id else queryset
