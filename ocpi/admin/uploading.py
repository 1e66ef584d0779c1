"""The admin's form to upload a file for a CPO; what comes in is received as over REST, piece by piece."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold import widgets

from ocpi import errors, imports, intake
from ocpi.api_imports import KINDS as OF_KINDS
from ocpi.api_imports import SHEET
from ocpi.models import Import
from tenants import audit, html, scope
from tenants.models import Tenant

KINDS = [*Import.Kind.choices, (SHEET, _("Connectors (CSV or XLSX, made from the template)"))]
MODES = [(Import.Mode.UPSERT, _("Upsert: add and change")), (Import.Mode.FULL, _("Full: this is everything there is"))]


class TenantField(forms.ModelChoiceField):
    """A tenant, found by its party or its name."""

    def label_from_instance(self, obj: Any) -> str:
        """Return both."""
        return str(obj) if obj.name == str(obj) else f"{obj}, {obj.name}"


class UploadForm(forms.Form):
    """A file, whose it is, and what to do with it."""

    tenant = TenantField(
        queryset=Tenant.objects.filter(is_active=True, offboarding_at=None),
        label=_("Tenant"),
        empty_label="",
        widget=widgets.UnfoldAdminSelect2Widget(attrs={"data-placeholder": _("Party or name")}),
    )
    kind = forms.ChoiceField(
        label=_("Kind"), choices=KINDS, initial=KINDS[0][0], widget=widgets.UnfoldAdminRadioSelectWidget
    )
    mode = forms.ChoiceField(
        label=_("Mode"),
        choices=MODES,
        initial=Import.Mode.UPSERT,
        help_text=_(
            "Full also takes out what the file lacks: EVSEs become REMOVED, Tariffs are deleted. If that is much, "
            "nothing is stored until an operator has accepted it."
        ),
        widget=widgets.UnfoldAdminRadioSelectWidget,
    )
    is_dry_run = forms.BooleanField(
        label=_("Dry run: say what would become of each line, store nothing"),
        required=False,
        widget=widgets.UnfoldBooleanWidget,
    )
    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "NDJSON (one object a line), a JSON array or an OCPI envelope, in UTF-8, also compressed with gzip; "
            "or the filled-in spreadsheet."
        ),
        widget=widgets.UnfoldAdminFileFieldWidget,
    )
    key = forms.UUIDField(required=False, widget=forms.HiddenInput)  # a form that is sent twice makes one import


def upload(request: HttpRequest) -> HttpResponse:
    """Show the form, or receive the file and lead to its import."""
    is_sent = request.method == "POST"
    form = UploadForm(
        request.POST if is_sent else None,
        request.FILES if is_sent else None,
        initial={"tenant": request.GET.get("tenant")},
    )
    form.fields["tenant"].queryset = scope.tenants_of(request.user).filter(is_active=True)  # type: ignore[attr-defined]
    one = _receive(request, form) if form.is_valid() else None
    if one is None:
        return _page(request, form)
    transaction.on_commit(imports.ring)
    audit.note(request, one, gettext_noop("Uploaded %(file)s."), file=form.cleaned_data["file"].name)
    messages.success(request, gettext("Received %(file)s.") % {"file": form.cleaned_data["file"].name})
    return HttpResponseRedirect(html.url("ocpi_import_change", one.pk))


def _receive(request: HttpRequest, form: UploadForm) -> Import | None:
    """Store the file's lines; None when it is refused as a whole, which the form then says."""
    given = form.cleaned_data
    try:
        return intake.receive(
            given["tenant"],
            OF_KINDS[given["kind"]],
            given["file"].chunks(),
            is_sheet=given["kind"] == SHEET,
            mode=given["mode"],
            is_dry_run=given["is_dry_run"],
            origin=f"{request.user}, {given['file'].name}",
            key=f"form {given['key']}" if given["key"] else None,
        )
    except (errors.Malformed, errors.TooLarge, errors.Offboarded, intake.KeyTaken) as error:
        form.add_error("file", str(error))
        return None


def _page(request: HttpRequest, form: UploadForm) -> HttpResponse:
    context = {
        "title": gettext("Upload a file"),
        "form": form,
        "fields": [form[name] for name in form.fields if name != "key"],
        "key": uuid.uuid4(),  # not that of the bound form: what was refused may be sent again, mended
        "all_url": html.url("ocpi_import_changelist"),
    }
    return TemplateResponse(request, "admin/import_upload.html", admin.site.each_context(request) | context)
