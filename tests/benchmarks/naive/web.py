"""The list of Locations as a DRF tutorial has it, with its related rows prefetched."""

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

application = get_wsgi_application()

from rest_framework import generics, serializers  # noqa: E402

from tests.benchmarks.naive.models import NaiveConnector, NaiveEvse, NaiveLocation  # noqa: E402


class ConnectorSerializer(serializers.ModelSerializer):
    """A Connector."""

    id = serializers.CharField(source="ocpi_id")

    class Meta:
        model = NaiveConnector
        exclude = ["evse", "ocpi_id"]


class EvseSerializer(serializers.ModelSerializer):
    """An EVSE with its Connectors."""

    connectors = ConnectorSerializer(many=True)

    class Meta:
        model = NaiveEvse
        exclude = ["id", "location"]


class LocationSerializer(serializers.ModelSerializer):
    """A Location with its EVSEs."""

    id = serializers.CharField(source="ocpi_id")
    coordinates = serializers.SerializerMethodField()
    evses = EvseSerializer(many=True)

    class Meta:
        model = NaiveLocation
        exclude = ["ocpi_id", "latitude", "longitude"]

    def get_coordinates(self, location: NaiveLocation) -> dict[str, str]:
        """Return the two as OCPI nests them."""
        return {"latitude": location.latitude, "longitude": location.longitude}


class LocationListView(generics.ListAPIView):
    """One page."""

    queryset = NaiveLocation.objects.order_by("pk").prefetch_related("evses__connectors")
    serializer_class = LocationSerializer


urlpatterns = [
    path("locations", LocationListView.as_view()),
    path("readyz", lambda request: HttpResponse("{}", content_type="application/json")),
]
