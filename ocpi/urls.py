"""Every path of OCPI, receiver then sender, and of the REST side; with and without a slash at the end."""

from django.urls import URLPattern, re_path
from django.views import View

from ocpi import api, api_deliveries, api_imports, receive, serve

PARTY = r"(?P<country_code>[^/]+)/(?P<party_id>[^/]+)"
LOCATION = r"(?P<location_id>[^/]+)"
EVSE = LOCATION + r"/(?P<evse_uid>[^/]+)"
CONNECTOR = EVSE + r"/(?P<connector_id>[^/]+)"


def route(pattern: str, view: type[View], name: str) -> URLPattern:
    """Return the route; a redirect to the other slash form would lose an upload's body."""
    return re_path(rf"^{pattern}/?\Z", view.as_view(), name=name)


RECEIVER, SENDER, REST = "ocpi/receiver/2[.]2[.]1", f"ocpi/sender/{PARTY}", "api/v1"
urlpatterns = [
    route("ocpi/receiver/versions", serve.ReceiverVersionsView, "receiver-versions"),
    route(RECEIVER, serve.ReceiverDetailsView, "receiver-details"),
    route(f"{RECEIVER}/locations/{PARTY}/{LOCATION}", receive.LocationView, "receiver-location"),
    route(f"{RECEIVER}/locations/{PARTY}/{EVSE}", receive.EvseView, "receiver-evse"),
    route(f"{RECEIVER}/locations/{PARTY}/{CONNECTOR}", receive.ConnectorView, "receiver-connector"),
    route(f"{RECEIVER}/tariffs/{PARTY}/(?P<tariff_id>[^/]+)", receive.TariffView, "receiver-tariff"),
    route(f"{SENDER}/versions", serve.SenderVersionsView, "sender-versions"),
    route(f"{SENDER}/2[.]2[.]1", serve.SenderDetailsView, "sender-details"),
    route(f"{SENDER}/2[.]2[.]1/locations", serve.LocationListView, "sender-locations"),
    route(f"{SENDER}/2[.]2[.]1/locations/{LOCATION}", serve.LocationView, "sender-location"),
    route(f"{SENDER}/2[.]2[.]1/locations/{EVSE}", serve.LocationView, "sender-evse"),
    route(f"{SENDER}/2[.]2[.]1/locations/{CONNECTOR}", serve.LocationView, "sender-connector"),
    route(f"{SENDER}/2[.]2[.]1/tariffs", serve.TariffListView, "sender-tariffs"),
    route(f"{REST}/validate", api.ValidateView, "rest-validate"),
    route(f"{REST}/problems", api.ProblemsView, "rest-problems"),
    route(f"{REST}/deliveries", api_deliveries.DeliveriesView, "rest-deliveries"),
    route(f"{REST}/locations", api_deliveries.LocationsView, "rest-locations"),
    route(f"{REST}/tariffs", api_deliveries.TariffsView, "rest-tariffs"),
    route(f"{REST}/imports", api_imports.ImportsView, "rest-imports"),
    route(f"{REST}/imports/template", api_imports.TemplateView, "rest-import-template"),
    route(f"{REST}/imports/(?P<import_id>[^/]+)", api_imports.ImportView, "rest-import"),
    route(f"{REST}/imports/(?P<import_id>[^/]+)/results", api_imports.ResultsView, "rest-import-results"),
]
