"""The documentation: the OpenAPI document, its page, and the rule book."""

import json
import re
from functools import cache
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from ocpi import api, api_deliveries, api_imports, openapi_ocpi, urls
from ocpi.models import PushAttempt
from ocpi.rules import LANGUAGES, RULES, check_patch, listing, profiles
from ocpi.rules.index import PRINCIPLES
from tests import factories
from tests.conftest import CLIENT, Caller
from tests.documents import location_body, tariff_body

PAGES = ["/api/schema", "/api/docs", "/api/docs/rules"]


@cache
def document() -> Any:
    """Return the OpenAPI document."""
    return CLIENT.get("/api/schema/").json()


def operations() -> list[tuple[str, str, Any]]:
    """Return (path, method, operation) of all there are."""
    return [(path, method, one) for path, item in document()["paths"].items() for method, one in item.items()]


def references(node: Any) -> set[str]:
    """Return every $ref below a node."""
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    return set().union(*(references(item) for item in node)) if isinstance(node, list) else set()


# --- The document ------------------------------------------------------------------------------------------------------


def test_schema_is_valid_and_made_without_a_warning(tmp_path):
    call_command("spectacular", fail_on_warn=True, validate=True, file=str(tmp_path / "schema.yaml"))

    assert yaml.safe_load((tmp_path / "schema.yaml").read_text()) == document()


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "*/*", "json"),
        ("", "text/html", "json"),
        ("?format=json", "application/yaml", "json"),
        ("", "application/yaml", "yaml"),
        ("?format=yaml", "*/*", "yaml"),
        ("?format=nothing", "", "json"),
    ],
)
def test_schema_is_json_unless_yaml_is_asked_for(query, accept, kind):
    response = CLIENT.get("/api/schema/" + query, headers={"Accept": accept})

    assert (response.status_code, response["Content-Type"]) == (200, f"application/{kind}")
    assert (json.loads if kind == "json" else yaml.safe_load)(response.content) == document()


def test_schema_has_every_route_and_method():
    expected = {
        (openapi_ocpi.path(str(pattern.pattern)), method)
        for pattern in urls.urlpatterns
        for method in ("get", "put", "patch", "delete", "post")
        if hasattr(pattern.callback.view_class, method)
    }

    assert {(path, method) for path, method, _ in operations()} == expected | {("/oauth/token", "post")}
    assert len(expected) == 31
    assert not [path for path, _, _ in operations() if re.search(r"[\[\]?^\\<>]|/$", path)]


def test_schema_every_path_is_a_url_of_ours():
    values = {
        "country_code": "NL",
        "party_id": "EXA",
        "location_id": "L",
        "evse_uid": "E",
        "connector_id": "1",
        "tariff_id": "T",
        "import_id": "I",
    }

    for pattern in urls.urlpatterns:
        path = openapi_ocpi.path(str(pattern.pattern))
        names = re.findall(r"{(\w+)}", path)
        assert reverse(str(pattern.name), kwargs={name: values[name] for name in names}) == path.format(**values)
        parameters = [one for item in document()["paths"][path].values() for one in item["parameters"]]
        described = [one["name"] for one in parameters if one["in"] == "path"]
        assert set(described) == set(names)


def test_schema_every_operation_has_a_name_words_and_who_may_use_it():
    ids = [one["operationId"] for _, _, one in operations()]

    assert len(ids) == len(set(ids))
    assert [one for one in ids if not re.fullmatch(r"[a-z_]+", one)] == []
    assert [path for path, _, one in operations() if not (one["summary"] and one["security"] and one["tags"])] == []
    for path, _, one in operations():
        schemes = {name for choice in one["security"] for name in choice}
        assert schemes <= set(document()["components"]["securitySchemes"])
        assert schemes == (
            {"PullToken", "AccessToken"} if "/sender/" in path else {"Client"} if "oauth" in path else {"UploadToken"}
        )


def test_schema_every_reference_leads_somewhere_and_every_component_is_used():
    def resolved(pointer: str) -> Any:
        node = document()
        for step in pointer.removeprefix("#/").split("/"):
            node = node[step]
        return node

    found = references(document())

    assert all(resolved(one) for one in found)
    named = {f"#/components/schemas/{name}" for name in document()["components"]["schemas"]}
    assert named - found == set()


def test_schema_patterns_mean_the_same_in_javascript():
    text = json.dumps(document())

    assert re.findall(r'"pattern": "[^"]*(?:\\\\p|\\\\x\{|\(\?i|\\\\Z|\\\\A)', text) == []
    assert text.count('"pattern": ') > 10
    assert '"title": "' in text  # of the document itself, and no other
    assert len(re.findall(r'"title": "', text)) == 1


@pytest.mark.parametrize("path", [f"/api/v1/{name}" for name in ("validate", "problems", "deliveries", "locations")])
def test_schema_errors_of_the_rest_side_are_problems(path):
    (operation,) = document()["paths"][path].values()
    faults = {status: one for status, one in operation["responses"].items() if status != "200"}

    assert set(faults) == {"400", "401", "403", "503"} | ({"413", "415"} if "validate" in path else set())
    assert {tuple(one["content"]) for one in faults.values()} == {("application/problem+json",)}
    assert "WWW-Authenticate" in faults["401"]["headers"]
    assert "Retry-After" in faults["503"]["headers"]


def test_schema_choices_are_those_the_views_take():
    parameters = {
        (path, one["name"]): set(one["schema"]["enum"])
        for path, _, operation in operations()
        for one in operation.get("parameters", ())
        if "enum" in one.get("schema", {})
    }

    assert parameters == {
        ("/api/v1/validate", "kind"): set(api.KINDS),
        ("/api/v1/validate", "lang"): set(LANGUAGES),
        ("/api/v1/problems", "kind"): set(api.STORED_KINDS),
        ("/api/v1/problems", "lang"): set(LANGUAGES),
        ("/api/v1/problems", "severity"): {"error", "gap", "warning"},
        ("/api/v1/deliveries", "state"): set(api_deliveries.STATES),
        ("/api/v1/deliveries", "kind"): set(api.STORED_KINDS),
        ("/api/v1/deliveries", "environment"): {"staging", "production"},
        ("/api/v1/imports", "kind"): set(api_imports.KINDS),
        ("/api/v1/imports/template", "format"): set(api_imports.TEMPLATES),
        ("/api/v1/imports", "mode"): set(api_imports.MODES),
        ("/api/v1/imports", "dry_run"): {"true", "false"},
        ("/api/v1/imports/{import_id}/results", "format"): set(api_imports.FORMATS),
        ("/api/v1/imports/{import_id}/results", "lang"): set(LANGUAGES),
    }


def test_schema_holds_for_what_is_answered(cpo):
    jsonschema = pytest.importorskip("jsonschema")
    factories.put_location(cpo, opening_times=None)
    push = factories.make_push(factories.connect_to_nowhere(cpo))
    PushAttempt.objects.create(
        tenant=cpo, push=push, started_at=timezone.now(), took_ms=1, method="PUT", outcome="retry", version=1, changes=1
    )
    rest = Caller("/api/v1", {"Authorization": f"Token {factories.make_token(cpo)}"})
    answers = {
        "Verdict": [
            rest.call("POST", "/validate?kind=location", location_body(oddity=1)),
            rest.call("POST", "/validate?kind=tariff", tariff_body()),
            rest.call("POST", "/validate?kind=evse", []),
        ],
        "Problems": [rest.get("/problems"), rest.get("/problems?limit=1")],
        "Deliveries": [
            rest.get("/deliveries"),
            rest.get("/deliveries?limit=1"),
            rest.get(f"/deliveries?id={push.target}"),
        ],
        "StoredObjects": [rest.get("/locations"), rest.get("/locations?limit=1"), rest.get("/tariffs")],
        "Problem": [rest.get("/problems?limit=0"), rest.get("/nothing"), Caller("/api/v1", {}).get("/problems")],
    }

    for name, responses in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
        for response in responses:
            jsonschema.Draft202012Validator(schema).validate(response.envelope)


def test_schema_examples_are_good(cpo):
    rest = Caller("/api/v1", {"Authorization": f"Token {factories.make_token(cpo)}"})
    schemas, body = document()["components"]["schemas"], document()["paths"]["/api/v1/validate"]["post"]["requestBody"]
    examples = {kind: schemas[name]["example"] for kind, name in openapi_ocpi.SCHEMAS.items()}
    examples["tariffs"] = body["content"]["application/json"]["schema"]["example"]
    factories.put_tariff(cpo)

    for kind, example in examples.items():
        answer = rest.call("POST", f"/validate?kind={kind}", example).envelope
        assert (answer["verdict"], answer["findings"]) == ("ok", [])
    assert (len(examples), body["required"]) == (5, True)


@pytest.mark.parametrize("kind", ["location", "evse", "connector"])
def test_schema_examples_of_a_patch_are_good(kind):
    name, schemas = openapi_ocpi.SCHEMAS[kind], document()["components"]["schemas"]

    assert check_patch(kind, schemas[name]["example"], schemas[f"{name}Patch"]["example"]).findings == []


# --- Pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_need_no_login_and_no_database(page, slash):
    response = CLIENT.get(page + slash)

    assert response.status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_pages_other_methods_are_problems(page):
    response = CLIENT.post(page)

    assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")
    assert response["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("page", ["/api/docs/", "/api/docs/rules/", "/api/docs/rules/?lang=nl"])
def test_pages_use_only_assets_of_our_own(page):
    html = CLIENT.get(page).content.decode()
    assets = re.findall(r'(?:src|href)="([^"#]+)"', html)
    static = [one.removeprefix("/static/") for one in assets if one.startswith("/static/")]

    assert not [one for one in assets if "//" in one]
    assert len(static) >= 3
    assert all(finders.find(one) for one in static)
    assert re.findall(r"<script>|\son\w+=|javascript:", html) == []


def test_docs_page_reads_our_schema_and_tells_no_one_else():
    page = CLIENT.get("/api/docs/").content.decode()
    (script,) = re.findall(r'src="(/api/docs/[^"]+)"', page)
    response = CLIENT.get(script)

    assert response["Content-Type"] == "application/javascript"
    assert 'url: "/api/schema"' in response.content.decode() or "\\u002Fapi\\u002Fschema" in response.content.decode()
    assert '"validatorUrl": null' in response.content.decode()
    assert "http://" not in response.content.decode()


def test_docs_lead_to_the_rules_and_back():
    assert "(/api/docs/rules/)" in document()["info"]["description"]
    assert 'href="/api/docs"' in CLIENT.get("/api/docs/rules/").content.decode()
    assert CLIENT.get(api.RULE_BOOK).status_code == 200


# --- The rule book -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_rules_page_lists_every_rule_once_with_an_anchor(language):
    html = CLIENT.get(f"/api/docs/rules/?lang={language}").content.decode()
    anchors = re.findall(r' id="([^"]+)"', html)

    ids = {rule.id for rule in RULES.values()} | {one.id for one in (*profiles.ADVICE, *PRINCIPLES)}
    assert len(ids) > 60
    assert sorted(anchors) == sorted(ids)
    assert f'<html lang="{language}">' in html


@pytest.mark.parametrize(
    ("query", "title"),
    [("", "Rule book"), ("?lang=en", "Rule book"), ("?lang=nl", "Regelboek"), ("?lang=xx", "Rule book")],
)
def test_rules_page_is_in_the_language_asked_for(query, title):
    html = CLIENT.get("/api/docs/rules/" + query).content.decode()

    assert f"<h1>{title}</h1>" in html
    assert f'href="?lang={"en" if title == "Regelboek" else "nl"}"' in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_listing_tells_each_rule_in_words(language):
    lines = [line for section in listing.sections(language) for line in section.lines]

    assert len(lines) == len(set(lines))
    assert {line.severity for line in lines} == {"error", "gap", "warning", "advice", "principle"}
    assert not [line for line in lines if not (line.id and line.text and line.source)]
    assert any("\u2039value\u203a" in line.text for line in lines)
    assert not [line for line in lines if re.search(r"[{]\w*[}]", line.text + line.hint)]


def test_listing_sorts_as_people_count():
    (lines,) = (section.lines for section in listing.sections("en") if section.title == "Locations")
    numbers = [int(match[1]) for line in lines if (match := re.fullmatch(r"L-(\d+)", line.id))]

    assert len(set(numbers)) > 5
    assert numbers == sorted(numbers)


def test_listing_keeps_the_rules_of_one_id_together():
    places = {}
    for section in listing.sections("en")[:-1]:
        for line in section.lines:
            places.setdefault(line.id, set()).add(section.title)

    assert {rule_id: titles for rule_id, titles in places.items() if len(titles) > 1} == {}


def test_listing_has_both_languages_alike():
    english, dutch = (listing.sections(language) for language in LANGUAGES)

    assert len(english) == len(dutch) == 7
    for one, other in zip(english, dutch, strict=True):
        assert [(line.id, line.severity, line.source) for line in one.lines] == [
            (line.id, line.severity, line.source) for line in other.lines
        ]


def test_rules_page_is_found_from_an_error(cpo):
    rest = Caller("/api/v1", {"Authorization": f"Token {factories.make_token(cpo)}"})

    assert api.RULE_BOOK in rest.get("/problems?rule=X").envelope["detail"]
