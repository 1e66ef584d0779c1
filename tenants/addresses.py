"""Where pushes and token calls may go: hosts of NDW_ALLOWED_HOSTS, by https; a loopback host listed there also by http.

Asked when an operator saves a URL and again before every call.  Source: design §7, "URLs of NDW"; reliability C28.
"""

from urllib.parse import SplitResult, urlsplit

from django.conf import settings

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class NotAllowed(ValueError):
    """The URL is not one we may call; says why."""


def check(url: str) -> None:
    """Let a URL pass that we may call. Raises NotAllowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotAllowed(f"Not a URL: {error}.") from error
    shown = f"{parts.scheme[:20]}://{host[-100:]}" + (f":{port}" if port else "")
    if "@" in parts.netloc or parts.fragment:
        raise NotAllowed(f"{shown}: no user name, password or # belongs in the URL.")
    if not any(_covers(urlsplit(f"//{entry}"), host, port) for entry in settings.NDW_ALLOWED_HOSTS):
        listed = ", ".join(settings.NDW_ALLOWED_HOSTS) or "nothing"
        raise NotAllowed(f"{shown}: not in NDW_ALLOWED_HOSTS, which lists {listed}.")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise NotAllowed(f"{shown}: not https; only a loopback host may be http.")


def _covers(entry: SplitResult, host: str, port: int | None) -> bool:
    """An entry without a port means https' own, for a loopback host any."""
    any_port = entry.port is None and host in LOOPBACK
    return entry.hostname == host and (any_port or (entry.port or 443) == (port or 443))
