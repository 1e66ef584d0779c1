"""The admin of tenants, their credentials, their connections to NDW, and of the operators themselves."""

from tenants.admin import audit, credentials, ndw, operators, parties  # noqa: F401
