"""What is uploaded, what NDW still lacks of it and the proof of what it took, bulk uploads, and what the console remembers."""

from ocpi.models.console import Crawl, Lookout, Scorecard, UploadHour, Version, Watched
from ocpi.models.deliveries import Alarm, DeliveryDay, Push, PushAttempt, PushQuerySet
from ocpi.models.imports import Import, ImportPart, ImportReport, Source
from ocpi.models.objects import Location, OcpiObject, ShownCount, Tariff, ids_of
from ocpi.models.offboarding import Offboarding

__all__ = [
    "Alarm",
    "Crawl",
    "DeliveryDay",
    "Import",
    "ImportPart",
    "ImportReport",
    "Location",
    "Lookout",
    "OcpiObject",
    "Offboarding",
    "Push",
    "PushAttempt",
    "PushQuerySet",
    "Scorecard",
    "ShownCount",
    "Source",
    "Tariff",
    "UploadHour",
    "Version",
    "Watched",
    "ids_of",
]
