"""/admin/, /ocpi/, /oauth/, /api/ with its documentation, the two health checks and the metrics."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from ocpi import docs, health, metrics
from tenants import oauth, second_factor

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/second-factor/", second_factor.second_factor, name="second-factor"),
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
    path("oauth/token", oauth.token_view, name="oauth-token"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", include("ocpi.urls")),
    re_path(r"^api/schema/?\Z", docs.SchemaView.as_view(), name="schema"),
    re_path(r"^api/docs/?\Z", docs.DocsView.as_view(), name="docs"),
    re_path(r"^api/docs/rules/?\Z", docs.RulesView.as_view(), name="rules"),
]
