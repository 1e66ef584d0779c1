"""The admin of what CPOs uploaded (read only) and of its delivery to NDW; its first page is `dashboard`."""

from ocpi.admin import deliveries, objects, sources  # noqa: F401
