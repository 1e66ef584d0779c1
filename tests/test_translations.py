"""The console's Dutch: the catalogue is whole and compiled, pages are in it, and what machines read is not."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from django.utils.translation.template import templatize

from ocpi import digests
from ocpi.models import Location, Lookout, Watched
from tenants import html
from tests.factories import connect_to_nowhere, put_location, put_tariff
from tests.test_admin import _browser

ROOT = Path(__file__).parent.parent
CATALOGUE = ROOT / "locale" / "nl" / "LC_MESSAGES" / "django.po"
APPS = ("gateway", "ocpi", "tenants")
MARKS = {"gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
LITERAL = r"u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
IN_TEMPLATES = re.compile(rf"\b(?:_|n?gettext)\(({LITERAL})(?:,\s*({LITERAL}))?")
PLACE = re.compile(r"%\(\w+\)[sd]|%%|\{\w*\}|<[^>]+>")


class Entry(NamedTuple):
    """One text of the catalogue."""

    plural: str
    said: list[str]
    is_fuzzy: bool


def _entries() -> dict[str, Entry]:
    """Read the .po: no more of the format than `make messages` writes."""
    found = {}
    for block in CATALOGUE.read_text().split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            head, _, text = line.partition('"')
            name = head.strip() or name
            fields[name] = fields.get(name, "") + ast.literal_eval(f'"{text}')
        if fields.get("msgid"):
            said = [fields[name] for name in fields if name.startswith("msgstr")]
            found[fields["msgid"]] = Entry(fields.get("msgid_plural", ""), said, "#, fuzzy" in block)
    return found


def _marked() -> Iterator[tuple[str, str]]:
    """Yield each text that code and templates mark, with its plural."""
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            yield from _in_code(ast.parse(path.read_text()))
    for path in (ROOT / "templates").rglob("*.html"):
        for one, many in IN_TEMPLATES.findall(templatize(path.read_text())):
            yield ast.literal_eval(one), ast.literal_eval(many) if many else ""


def _in_code(tree: ast.Module) -> Iterator[tuple[str, str]]:
    nodes = list(ast.walk(tree))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"]
    names = {name.asname or name.name: name.name for node in imports for name in node.names if name.name in MARKS}
    for call in nodes:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names:
            texts = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant)]
            if texts:
                yield str(texts[0]), str(texts[1]) if names[call.func.id].startswith("ngettext") else ""


# --- The catalogue -----------------------------------------------------------------------------------------------------


def test_catalogue_has_every_marked_text():
    marked, entries = set(_marked()), _entries()

    missing = {one for one, many in marked if one not in entries or (many and not entries[one].plural)}

    assert len(marked) > 1000
    assert not missing, "run `make messages` and translate what is new"


def test_catalogue_has_nothing_else():
    left = _entries().keys() - {one for one, _ in _marked()}

    assert not left, "run `make messages`"


def test_catalogue_is_translated():
    entries = _entries()

    bare = [one for one, entry in entries.items() if entry.is_fuzzy or not all(entry.said)]
    numbers = [one for one, entry in entries.items() if len(entry.said) != (2 if entry.plural else 1)]

    assert (bare, numbers) == ([], [])


def test_translations_keep_the_places():
    def places(text: str) -> list[str]:
        return sorted(PLACE.findall(text))

    wrong = [
        (one, said)
        for one, entry in _entries().items()
        for said in entry.said
        if places(said) not in (places(one), places(entry.plural or one))
    ]

    assert wrong == []


def test_compiled_catalogue_says_the_same():
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # gettext tells it no other way

    said = {}
    for one, entry in _entries().items():
        said |= {(one, n): text for n, text in enumerate(entry.said)} if entry.plural else {one: entry.said[0]}
    del compiled[""]

    assert compiled == said, "run `make messages`"


# --- Pages -------------------------------------------------------------------------------------------------------------

DUTCH = {"Accept-Language": "nl"}
ENGLISH = [  # what a page would say if its language were ours
    *("Home", "Access", "Service accounts", "Connections", "Uploaded", "Problems", "Map", "Status watch", "Sources"),
    *("Uploads by the hour", "Delivered", "Waiting", "Minute", "Attempts", "Users", "Groups", "Tenant users", "Audit"),
    *(
        "Findings",
        "Delivery",
        "Versions",
        "As it is served",
        "Withheld",
        "Shown",
        "Rejected",
        "Overview",
        "Credentials",
    ),
    *("Uploads per day", "Uploads per hour", "Health at a glance", "NDW's connection steps", "Mend first", "History"),
    *("Search apps and models...", "Go back", "Tenants and access", "Gap", "Last upload", "Never", "Objects", "State"),
]


@pytest.fixture
def boss(db: None) -> Client:
    """A superuser's browser."""
    return _browser(User.objects.create_superuser("boss", password="x"))


def _words(page: str) -> set[str]:
    """Return what stands between the tags of a page, and in the attributes that are read aloud or shown."""
    between = re.findall(r">\s*([^<>]+?)\s*<", page)
    return {*between, *re.findall(r'(?:placeholder|aria-label|title|data-label)="([^"]+)"', page)}


@pytest.mark.parametrize("page", ["home", "workplace", "location", "problems"])
def test_page_is_dutch(boss, cpo, page):
    connect_to_nowhere(cpo)
    put_tariff(cpo)
    put_location(cpo, energy_mix=None)
    location = Location.objects.get()
    addresses = {
        "home": "/admin/",
        "workplace": "/admin/tenants/tenant/NL-EXA/",
        "location": f"/admin/ocpi/location/{location.pk}/change/",
        "problems": "/admin/ocpi/location/problems/",
    }

    response = boss.get(addresses[page], headers=DUTCH)

    words = _words(response.content.decode())
    assert response["Content-Language"] == "nl"
    assert sorted(words & set(ENGLISH)) == []
    assert {"Start", "Verbindingen", "Statusbewaking", "Auditspoor"} <= words


def test_numbers_and_times_are_written_as_in_dutch(boss, cpo):
    put_location(cpo)
    Location.objects.update(received_at="2026-03-05T12:34:56Z")

    dutch = boss.get("/admin/ocpi/location/", headers=DUTCH).content.decode()
    english = boss.get("/admin/ocpi/location/").content.decode()

    assert ("05-03-2026 13:34:56" in dutch, "2026-03-05 13:34:56" in english) == (True, True)
    with translation.override("nl"):
        assert (html.number(1234567.5, 1), html.percent(2, 3)) == ("1.234.567,5", "66,6 %")


def test_api_stays_english_after_a_dutch_page(boss, upload):
    boss.get("/admin/", headers=DUTCH)

    answer = upload.put("/locations/NL/EXA/LOC-1", {}, **DUTCH)
    said = answer.content.decode()

    assert "Content-Language" not in answer
    assert ("required" in said, "verplicht" in said, "ontbreekt" in said) == (True, False, False), said


def test_digest_is_dutch_and_english(cpo):
    put_location(cpo)
    location = Location.objects.get()
    Watched.objects.create(
        tenant=cpo, location=location, evse_uid="EVSE-1", kind=Watched.Kind.UNKNOWN, status="UNKNOWN"
    )

    subject, text = digests.write(Lookout.objects.create(tenant=cpo))

    dutch, _, english = text.partition("-" * 60)
    assert subject == "Statusbewaking van NL-EXA: 1 om naar te kijken"
    assert "Langer onbekend dan de heartbeat: 1 (waarvan 1 nieuw in het afgelopen etmaal)" in dutch
    assert "Unknown for longer than the heartbeat: 1 (1 of them new within a day)" in english
    assert "heartbeat: 1 (1 of them" not in dutch
