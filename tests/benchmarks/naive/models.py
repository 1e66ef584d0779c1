"""Location, EVSE and Connector, a column for each property and JSON for what is nested deeper."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class NaiveLocation(models.Model):
    """A Location."""

    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    ocpi_id = models.CharField(max_length=36)
    publish = models.BooleanField()
    name = models.CharField(max_length=255, null=True)
    address = models.CharField(max_length=255)
    city = models.CharField(max_length=45)
    postal_code = models.CharField(max_length=10, null=True)
    country = models.CharField(max_length=3)
    latitude = models.CharField(max_length=10)
    longitude = models.CharField(max_length=11)
    parking_type = models.CharField(max_length=30, null=True)
    operator = models.JSONField(null=True)
    time_zone = models.CharField(max_length=255)
    opening_times = models.JSONField(null=True)
    energy_mix = models.JSONField(null=True)
    last_updated = models.DateTimeField()


class NaiveEvse(models.Model):
    """An EVSE."""

    location = models.ForeignKey(NaiveLocation, models.CASCADE, related_name="evses")
    uid = models.CharField(max_length=36)
    evse_id = models.CharField(max_length=48, null=True)
    status = models.CharField(max_length=20)
    capabilities = ArrayField(models.CharField(max_length=40), default=list)
    physical_reference = models.CharField(max_length=16, null=True)
    parking_restrictions = ArrayField(models.CharField(max_length=20), default=list)
    last_updated = models.DateTimeField()


class NaiveConnector(models.Model):
    """A Connector."""

    evse = models.ForeignKey(NaiveEvse, models.CASCADE, related_name="connectors")
    ocpi_id = models.CharField(max_length=36)
    standard = models.CharField(max_length=40)
    format = models.CharField(max_length=10)
    power_type = models.CharField(max_length=20)
    max_voltage = models.IntegerField()
    max_amperage = models.IntegerField()
    max_electric_power = models.IntegerField(null=True)
    tariff_ids = ArrayField(models.CharField(max_length=36), default=list)
    last_updated = models.DateTimeField()
