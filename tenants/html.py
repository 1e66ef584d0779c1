"""What the admin's pages are put together from: times, badges, links, tables, JSON. All text in them is escaped."""

import datetime as dt
import functools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from unfold.decorators import display
from unfold.utils import display_for_label

Text = str | Promise  # a promise is a text in the language of who will read it
NOTHING = "-"  # what the admin shows for an empty value


def time(at: dt.datetime | None) -> SafeString | str:
    """Return a time to the second; hovering tells how long ago."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), naturaltime(at), moment_text(at))


def moment_text(at: dt.datetime) -> str:
    """Return a time to the second as plain text; a translation may put the day first."""
    return timezone.localtime(at).strftime(gettext("%Y-%m-%d %H:%M:%S"))


def number(value: float, decimals: int = 0) -> str:
    """Return a number as the reader writes it, in groups of three; zeros behind the point are left out."""
    text = f"{value:.{decimals}f}"
    return number_format(text.rstrip("0").rstrip(".") if decimals else text, use_l10n=True, force_grouping=True)


def percent(part: int, of: int) -> str:
    """Return a share in per cent, rounded down to a tenth: 100 is all."""
    return f"{number(1000 * part // of / 10, 1)} %" if of else NOTHING


def seconds(ms: float | None) -> str:
    """Return milliseconds in seconds."""
    return NOTHING if ms is None else f"{number_format(f'{ms / 1000:.1f}', use_l10n=True, force_grouping=True)} s"


def bar(part: int, of: int) -> SafeString:
    """Return a bar that is filled as far as `part` is of `of`; what it says stands beside it."""
    words = gettext("%(part)s of %(of)s") % {"part": number(part), "of": number(of)}
    return format_html('<progress class="meter" max="{}" value="{}" title="{}"></progress>', max(of, 1), part, words)


def moment(field: str, description: Text) -> Callable[[Any, Any], SafeString | str]:
    """Return a column, or read-only field, of an admin that shows a DateTimeField."""

    @display(description=description, ordering=field)
    def column(admin: Any, item: Any) -> SafeString | str:
        return time(getattr(item, field))

    return column


def field(description: Text) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Make a method a read-only field of an object's page; Unfold asks for each five times, this works it out once."""

    def wrap(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        @display(description=description)
        @functools.wraps(method)
        def once(admin: Any, item: Any) -> Any:
            kept = item.__dict__.setdefault("_shown", {})
            if method.__name__ not in kept:
                kept[method.__name__] = method(admin, item)
            return kept[method.__name__]

        return once

    return wrap


def badge(word: str, colours: dict[str, str]) -> SafeString:
    """Return a word, in the reader's language, in the colour of what it means: success, info, warning or danger.

    Whoever makes up a word of our own marks it with `gettext_noop`.
    """
    return display_for_label((word, gettext(word) if word else word), NOTHING, {word: None} | colours)


def url(view: str, *args: object, **query: object) -> str:
    """Return the address of a page of the admin, such as `ocpi_location_changelist`."""
    return reverse(f"admin:{view}", args=args) + (f"?{urlencode(query)}" if query else "")


def link(text: object, view: str, *args: object, **query: object) -> SafeString:
    """Return a link to a page of the admin."""
    return format_html('<a class="text-link" href="{}">{}</a>', url(view, *args, **query), text)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> SafeString | str:
    """Return a table; `empty` when it has no rows."""
    head = format_html_join("", '<th scope="col">{}</th>', ((header,) for header in headers))
    lines = [_row(headers, row) for row in rows]
    body = format_html_join("", "{}", ((line,) for line in lines))
    return format_html('<table class="plain"><thead><tr>{}</tr></thead>{}</table>', head, body) if lines else empty


def _row(headers: Sequence[str], cells: Sequence[object]) -> SafeString:
    labelled = zip(headers, cells, strict=True)
    return format_html("<tr>{}</tr>", format_html_join("", '<td data-label="{}"><div>{}</div></td>', labelled))


def lines(items: Iterable[object]) -> SafeString | str:
    """Return one line for each item."""
    return format_html_join("", "<div>{}</div>", ((item,) for item in items)) or NOTHING


def document(value: object) -> SafeString:
    """Return JSON, indented, in a box that scrolls, by keys too."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="document" tabindex="0">{}</pre>', text)


def after_dialog(request: HttpRequest, to: str) -> HttpResponse:
    """Send the browser on, whether the dialog was sent by a script or as a plain form."""
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": to})
    return HttpResponseRedirect(to)
