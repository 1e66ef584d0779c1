"""The documentation, for everybody: /api/schema/, a page to try it at /api/docs/, the rule book at /api/docs/rules/.

Nothing on these pages comes from elsewhere: no CDN, no inline script.
"""

from functools import cache

from django.http import HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.views import APIView

from ocpi.rules import LANGUAGES, listing

RENDERERS = {"json": OpenApiJsonRenderer2, "yaml": OpenApiYamlRenderer2}


class PublicView(APIView):
    """A page anybody may read."""

    permission_classes = []


class SchemaView(PublicView):
    """`/api/schema/`: JSON, or YAML when `Accept` or `?format=` ask for it."""

    def get(self, request: Request) -> HttpResponse:
        """Return the OpenAPI document."""
        wanted = request.GET.get("format") or request.headers.get("Accept", "")
        kind = "yaml" if "yaml" in wanted.lower() else "json"
        return HttpResponse(_document(kind), content_type=RENDERERS[kind].media_type)


@cache
def _document(kind: str) -> str | bytes:
    return RENDERERS[kind]().render(SchemaGenerator().get_schema(public=True), renderer_context={})


class DocsView(SpectacularSwaggerSplitView):
    """`/api/docs/`: the document as a page in which requests can be made."""

    url_name = "schema"


class RulesView(PublicView):
    """`/api/docs/rules/`: the rule book in one language."""

    def get(self, request: Request) -> HttpResponse:
        """Return the page; a language we do not have is read as English."""
        language = next((each for each in LANGUAGES if each == request.GET.get("lang")), LANGUAGES[0])
        return render(request, "docs/rules.html", {"sections": listing.sections(language), "language": language})
