"""Small charts for the admin's pages: SVG made here, without a script; a table of the same figures for who cannot see them."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants import html

WIDTH, HEIGHT = 240, 48
LEAST = 1.5  # a bar of little is still a bar


def bars(values: Sequence[float], labels: Sequence[str], title: str, *, top: float | None = None) -> SafeString:
    """Return a bar for each value; hovering tells its label and value. `top` is the height of the scale."""
    highest = max([*values, 0]) if top is None else top
    step = WIDTH / max(len(values), 1)
    drawn = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        (
            (*_round(number * step, HEIGHT - high, max(step - 1, 0.5), high), _said(label, value))
            for number, (value, label) in enumerate(zip(values, labels, strict=True))
            for high in [max(_height(value, highest), LEAST if value else 0)]
        ),
    )
    return _chart(drawn, title, "bars")


def line(values: Sequence[float | None], labels: Sequence[str], title: str, *, top: float | None = None) -> SafeString:
    """Return a line through the values; None leaves a gap."""
    known = [value for value in values if value is not None]
    highest = max([*known, 0]) if top is None else top
    step = WIDTH / max(len(values) - 1, 1)
    points = [
        None
        if value is None
        else (number * step, HEIGHT - 1 - _height(value, highest) * (HEIGHT - 2) / HEIGHT, label, value)
        for number, (value, label) in enumerate(zip(values, labels, strict=True))
    ]
    path, is_drawing = [], False
    for point in points:
        if point:
            path.append(f"{'L' if is_drawing else 'M'}{point[0]:.1f} {point[1]:.1f}")
        is_drawing = point is not None
    dots = format_html_join(
        "",
        '<circle cx="{}" cy="{}" r="2"><title>{}</title></circle>',
        ((*_round(x, y), _said(label, value)) for x, y, label, value in filter(None, points)),
    )
    return _chart(format_html('<path d="{}"/>{}', " ".join(path), dots), title, "line")


def told(
    chart: SafeString, headers: Sequence[str], rows: Sequence[Sequence[object]], ends: Sequence[str]
) -> SafeString:
    """Return a chart with its first and last label below it, and the same figures as a table that opens."""
    axis = format_html_join("", "<span>{}</span>", ((end,) for end in ends))
    table = html.table(headers, rows, html.NOTHING)
    words = '<figure class="told">{}<figcaption>{}</figcaption><details><summary>{}</summary>{}</details></figure>'
    return format_html(words, chart, axis, _("As a table"), table)


def _round(*lengths: float) -> list[str]:
    return [f"{length:.1f}" for length in lengths]


def _said(label: str, value: float) -> str:
    return f"{label}: {html.number(value, 2)}"


def _height(value: float, highest: float) -> float:
    return HEIGHT * min(value / highest, 1) if highest else 0.0


def _chart(drawn: SafeString, title: str, kind: str) -> SafeString:
    return format_html(
        '<svg class="sketch {}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        kind, WIDTH, HEIGHT, title, drawn,
    )  # fmt: skip
