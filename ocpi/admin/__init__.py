"""The admin of what CPOs uploaded (read only), of bulk uploads, and of the delivery to NDW; its first page is `dashboard`."""

from ocpi.admin import deliveries, imports, objects, parties, sources, uploads, watched  # noqa: F401
