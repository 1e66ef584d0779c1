"""/admin/, /ocpi/, /oauth/ and the two health checks."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from ocpi import health
from tenants import oauth

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("oauth/token", oauth.token_view, name="oauth-token"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("", include("ocpi.urls")),
]
