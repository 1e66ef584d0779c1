"""Pushes and the requests made for them; a Push can be sent now."""

from typing import Any
from urllib.parse import unquote

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.paginator import InfinitePaginator

from ocpi import causes
from ocpi.admin import clock, tables
from ocpi.admin import waiting as pages
from ocpi.admin.lists import TENANT, ChoiceFilter, ReadOnlyAdmin
from ocpi.models import Push, PushAttempt
from ocpi.rulings import Do
from tenants import audit, html

LOGGED = 1000  # of the Pushes sent again at once, so many get a line in their history


class StateFilter(ChoiceFilter):
    """By the state a person sees; each condition can use an index, which the annotation could not."""

    title, parameter_name = _("state"), "state"
    _waiting, _sending = Q(state=Push.State.DIRTY), Q(lease_until__gt=Now())
    _paused = Q(connection__is_paused=True) | Q(connection__is_retired=True)
    _idle = _waiting & (Q(lease_until=None) | Q(lease_until__lte=Now()))
    choices_by_word = {
        "waiting": (_("Waiting (dirty, sending or blocked)"), _waiting),
        "dirty": (_("Dirty"), _idle & ~_paused),
        "sending": (_("Sending"), _waiting & _sending),
        "blocked": (_("Blocked"), _idle & _paused),
        "rejected": (_("Rejected"), Q(state=Push.State.REJECTED)),
        "delivered": (_("Delivered"), Q(state=Push.State.DELIVERED)),
    }


class KindFilter(ChoiceFilter):
    """By what is pushed."""

    title, parameter_name = _("kind"), "kind"
    choices_by_word = {
        "location": (_("Locations"), Q(location__isnull=False)),
        "tariff": (_("Tariffs"), Q(tariff__isnull=False)),
    }


class CauseFilter(admin.SimpleListFilter):
    """By what NDW answered, or why there was no answer; only the Waiting page sets it, and it shows while it is set."""

    title, parameter_name = _("cause"), "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name what is set."""
        value = request.GET.get("cause", "")
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what was answered alike."""
        words = (self.value() or "").replace("\0", "")
        return queryset.annotate(alike=causes.alike()).filter(alike=words) if words else queryset


@admin.register(Push)
class PushAdmin(ReadOnlyAdmin):
    """What NDW still lacks, and what it has."""

    list_display = [
        "target_id",
        "kind",
        "connection",
        "shown_state",
        "changed",
        "due",
        "attempts",
        "accepted",
        "answer",
    ]
    list_filter = [StateFilter, KindFilter, CauseFilter, "connection__environment", TENANT]
    list_select_related = ["connection__tenant", "location", "tariff"]
    search_fields = ["location__ocpi_id", "tariff__ocpi_id"]
    search_help_text = _("Part of the object's id")
    ordering = ["-pk"]
    fieldsets = [
        (None, {"fields": ["target", "connection", "shown_state", "answer", "changed", "due", "accepted"]}),
        (_("Last 20 requests"), {"fields": ["attempt_list"]}),
        (_("Details"), {"fields": ["carries", "attempts", "changes", "version", "accepted_version", "correlation_id"]}),
    ]
    readonly_fields = ["attempts", "changes", "version", "accepted_version", "correlation_id"]
    actions = ["push_now"]
    actions_detail = ["push_this_now"]
    changed = html.moment("changed_at", _("waiting since"))
    accepted = html.moment("accepted_at", _("last accepted"))

    def get_urls(self) -> list[URLPattern]:
        """Put the Waiting and Minute pages before those of one Push."""
        view = self.admin_site.admin_view
        return [
            path("minute/", view(clock.every_connection), name="ocpi_minute"),
            path("minute/<int:pk>/", view(clock.one_connection), name="ocpi_minute_connection"),
            path("minute/<int:pk>/<str:month>.csv", view(clock.download), name="ocpi_minute_proof"),
            path("waiting/", view(pages.waiting), name="ocpi_waiting"),
            path("waiting/<int:pk>/resend/", view(pages.resend), name="ocpi_resend"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Compute the state, and leave the bodies in the database."""
        unread = [
            f"{kind}__{name}"
            for kind in ("location", "tariff")
            for name in ("body", "findings", "unknown", "cpo_times")
        ]
        return super().get_queryset(request).with_shown_state().defer(*unread)

    def has_push_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let in who may change a Push."""
        return request.user.has_perm("ocpi.change_push")

    @display(description=_("object"), ordering="pk")
    def target_id(self, push: Push) -> str:
        """Show the CPO's id."""
        return push.target.ocpi_id

    @display(description=_("object"))
    def target(self, push: Push) -> SafeString:
        """Lead to the Location or Tariff."""
        return html.link(f"{gettext(push.kind.capitalize())} {push.target}", f"ocpi_{push.kind}_change", push.target.pk)

    @display(description=_("kind"))
    def kind(self, push: Push) -> str:
        """Show what it is."""
        return gettext(push.kind)

    @display(description=_("state"), ordering="state")
    def shown_state(self, push: Push) -> SafeString:
        """Show the state a person means."""
        return html.badge(push.shown_state, tables.PUSH_COLOURS)  # type: ignore[attr-defined]

    @display(description=_("next try"), ordering="due_at")
    def due(self, push: Push) -> SafeString | str:
        """Show when it is sent again, if it is."""
        return html.time(push.due_at) if push.shown_state == Push.State.DIRTY else html.NOTHING  # type: ignore[attr-defined]

    @display(description=_("NDW's last refusal"))
    def answer(self, push: Push) -> str:
        """Show what NDW said."""
        return tables.words(push.last_answer) or html.NOTHING

    @display(description=_("next request"))
    def carries(self, push: Push) -> str:
        """Show what the next request will carry."""
        if push.state != Push.State.DIRTY:
            return gettext("none: nothing to send")
        if push.evse_uid and not push.whole:
            return gettext("the status of EVSE %(uid)s") % {"uid": push.evse_uid}
        return gettext("the whole object")

    @html.field("")  # the heading says it
    def attempt_list(self, push: Push) -> SafeString | str:
        """Show the last requests, and lead to all of them."""
        all_of_them = html.link(gettext("All requests"), "ocpi_pushattempt_changelist", push__id__exact=push.pk)
        return format_html("{}<p>{}</p>", tables.attempts(push.push_attempts.all()[:20]), all_of_them)

    @admin.action(description=_("Push now"), permissions=["push"])
    def push_now(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Send the present state again, whatever became of it before."""
        pushes = Push.objects.filter(causes.NOT_WITHHELD, pk__in=queryset.order_by().values("pk"))
        audit.note_all(request, pushes[:LOGGED], gettext_noop("Push now."))
        count = causes.resend(pushes)
        self.message_user(request, gettext("%(count)s will be sent now.") % {"count": count}, messages.SUCCESS)

    @action(
        description=_("Push now"),
        icon="send",
        variant=ActionVariant.PRIMARY,
        permissions=["push"],
        dialog={
            "title": _("Push this object now?"),
            "description": _("Its present state is sent again as a whole, whatever became of it before."),
            "form_class": None,
            "form_submit_text": _("Push now"),
        },
    )
    def push_this_now(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        """Send the present state again."""
        self.push_now(request, self.get_queryset(request).select_related("location", "tariff").filter(pk=object_id))
        return html.after_dialog(request, html.url("ocpi_push_change", object_id))


class OutcomeFilter(ChoiceFilter):
    """By what an answer meant."""

    title, parameter_name = _("outcome"), "outcome"
    choices_by_word = {do.value: (gettext_lazy(do.value), Q(outcome=do.value)) for do in Do}


@admin.register(PushAttempt)
class PushAttemptAdmin(ReadOnlyAdmin):
    """Every request to NDW and its answer, word for word."""

    list_display = [
        "started", "tenant", "method", "target", "outcome_badge", "http", "ocpi", "took", "said",
    ]  # fmt: skip
    list_filter = [OutcomeFilter, "started_at", TENANT]
    list_select_related = ["tenant"]
    list_disable_select_all = True
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator  # months of requests: counting them would take longer than anything else here
    search_fields = ["=request_id", "=correlation_id"]
    search_help_text = _("A whole X-Request-ID or X-Correlation-ID")
    ordering = ["-started_at", "-pk"]
    fieldsets = [
        (None, {"fields": ["started", "took", "tenant", "push", "outcome_badge"]}),
        (
            _("Request"),
            {"fields": ["method", "address", "version", "changes", "changed", "request_id", "correlation_id"]},
        ),
        (_("Answer"), {"fields": ["http", "ocpi", "answer_text"]}),
    ]
    readonly_fields = [
        "tenant", "push", "method", "version", "changes", "request_id", "correlation_id",
    ]  # fmt: skip
    started = html.moment("started_at", _("sent"))
    changed = html.moment("changed_at", _("change accepted"))

    @display(description=_("object"))
    def target(self, attempt: PushAttempt) -> str:
        """Show what the URL names, below the party."""
        for name in ("locations", "tariffs"):
            base, _, path = attempt.url.rpartition(f"/{name}/")
            if base:
                return " / ".join(unquote(part) for part in path.split("/")[2:])
        return attempt.url

    @display(description=_("URL"))
    def address(self, attempt: PushAttempt) -> str:
        """Show the whole URL."""
        return attempt.url

    @display(description=_("outcome"), ordering="outcome")
    def outcome_badge(self, attempt: PushAttempt) -> SafeString:
        """Show what the answer meant."""
        return tables.outcome(attempt)

    @display(description=_("HTTP"), ordering="http_status")
    def http(self, attempt: PushAttempt) -> str:
        """Show the HTTP status."""
        return str(attempt.http_status or html.NOTHING)

    @display(description=_("OCPI"), ordering="ocpi_status")
    def ocpi(self, attempt: PushAttempt) -> str:
        """Show the status code in the envelope."""
        return str(attempt.ocpi_status or html.NOTHING)

    @display(description=_("took"), ordering="took_ms")
    def took(self, attempt: PushAttempt) -> str:
        """Show how long NDW took."""
        return f"{attempt.took_ms} ms"

    @display(description=_("answer"))
    def said(self, attempt: PushAttempt) -> str:
        """Show what NDW said."""
        return tables.words(attempt.answer) or html.NOTHING

    @html.field(_("answer"))
    def answer_text(self, attempt: PushAttempt) -> SafeString | str:
        """Show the answer in full."""
        return tables.answer(attempt.answer)
