"""What every page of the admin shows around its content: which gateway this is, what waits beside a line of the sidebar, and
what to do next where a list is empty. `settings.UNFOLD` names these functions.
"""

from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from tenants import html, scope, sql

# --- Which gateway -----------------------------------------------------------------------------------------------------

NAMES = {
    "production": gettext_lazy("Production"),
    "staging": gettext_lazy("Staging"),
    "development": gettext_lazy("Development"),
}
COLOURS = {"production": "primary", "staging": "warning"}


def environment(request: HttpRequest) -> list[str]:
    """Return the badge of the header: words and their colour."""
    name = settings.GATEWAY_ENVIRONMENT
    return [str(NAMES.get(name, name)), COLOURS.get(name, "info")]


def title_prefix(request: HttpRequest) -> str:
    """Return what stands before the title of a tab: nothing in production, so that the others stand out."""
    return "" if settings.GATEWAY_ENVIRONMENT == "production" else f"[{environment(request)[0]}]"


# --- Beside the sidebar ------------------------------------------------------------------------------------------------

_COUNTS = """
    SELECT (SELECT count(*) FROM ocpi_import WHERE state = 'held' AND (%(own)s::bigint[] IS NULL OR tenant_id = ANY(%(own)s))),
        (SELECT count(*) FROM ocpi_push WHERE state = 'rejected' AND (%(own)s::bigint[] IS NULL OR tenant_id = ANY(%(own)s))
            AND connection_id NOT IN (SELECT id FROM tenants_connection WHERE is_retired))
"""


class Counts(NamedTuple):
    """What wants somebody."""

    held: int
    rejected: int


def counts(request: HttpRequest) -> Counts:
    """Return how much the reader may see of what wants somebody. One query for each request, however often it is asked."""
    request_: Any = request
    if not hasattr(request_, "_look_counts"):
        row = sql.run(_COUNTS, {"own": scope.confined_to(request.user)}).fetchone()
        request_._look_counts = Counts(*(row or (0, 0)))
    return request_._look_counts


def held(request: HttpRequest) -> str:
    """Return how many imports wait for a decision; "" when none does."""
    return html.number(counts(request).held) if counts(request).held else ""


def rejected(request: HttpRequest) -> str:
    """Return how many objects NDW refused; "" when there are none."""
    return html.number(counts(request).rejected) if counts(request).rejected else ""


# --- Where a list is empty ---------------------------------------------------------------------------------------------


class Empty(NamedTuple):
    """What an empty list says: what will be here, and the next step, for who may take it."""

    title: Any
    words: Any
    step: Any = ""
    view: str = ""
    permission: str = ""


EMPTY = {
    "tenants_tenant": Empty(
        gettext_lazy("No CPO yet"),
        gettext_lazy("A tenant is one CPO under its own party, such as NL-EXA. Everything else here belongs to one."),
    ),
    "tenants_token": Empty(
        gettext_lazy("No token yet"),
        gettext_lazy(
            "A CPO uploads with an upload token, NDW pulls with a pull token. Each is shown once, when it is made."
        ),
    ),
    "tenants_oauthclient": Empty(
        gettext_lazy("No OAuth2 client yet"),
        gettext_lazy(
            "NDW may pull with a client id and secret instead of a pull token; make one when NDW asks for it."
        ),
    ),
    "tenants_serviceaccount": Empty(
        gettext_lazy("No service account yet"),
        gettext_lazy(
            "Pushing to NDW needs the client id and secret that NDW gave for its environment: put them here first."
        ),
    ),
    "tenants_connection": Empty(
        gettext_lazy("No connection yet"),
        gettext_lazy(
            "Nothing is pushed without one. It wants a tenant, a service account and the push URL that NDW gave."
        ),
        gettext_lazy("See the service accounts"),
        "tenants_serviceaccount_changelist",
        "tenants.view_serviceaccount",
    ),
    "tenants_membership": Empty(
        gettext_lazy("No tenant user yet"),
        gettext_lazy("A superuser puts a user into the group “Tenant user”; which tenants he sees is said here."),
    ),
    "ocpi_location": Empty(
        gettext_lazy("No Location yet"),
        gettext_lazy(
            "Locations come in with a CPO's first upload, from its own Sender, or from a file that you upload for it."
        ),
        gettext_lazy("See that the CPO has an upload token"),
        "tenants_token_changelist",
        "tenants.view_token",
    ),
    "ocpi_tariff": Empty(
        gettext_lazy("No Tariff yet"),
        gettext_lazy("Tariffs come in as Locations do. DOT-NL wants every connector to name one."),
        gettext_lazy("See that the CPO has an upload token"),
        "tenants_token_changelist",
        "tenants.view_token",
    ),
    "ocpi_source": Empty(
        gettext_lazy("No source yet"),
        gettext_lazy(
            "A CPO that has an OCPI 2.2.1 Sender and no upload code is fetched from: give its URL and its token."
        ),
    ),
    "ocpi_push": Empty(
        gettext_lazy("Nothing to push yet"),
        gettext_lazy(
            "There is a line here for every object and connection, from the first upload of a tenant that has one."
        ),
        gettext_lazy("See the connections"),
        "tenants_connection_changelist",
        "tenants.view_connection",
    ),
    "ocpi_pushattempt": Empty(
        gettext_lazy("No request to NDW yet"),
        gettext_lazy("Every request to NDW and its answer stands here word for word, once something has been pushed."),
        gettext_lazy("See what waits"),
        "ocpi_waiting",
        "ocpi.view_push",
    ),
    "ocpi_uploadhour": Empty(
        gettext_lazy("No upload counted yet"),
        gettext_lazy("There is a line here for each hour in which a CPO uploads something."),
    ),
    "auth_group": Empty(
        gettext_lazy("No group yet"),
        gettext_lazy("A group says once what a kind of operator may do; users are then put into it."),
    ),
}


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Add to every page (Unfold's GLOBAL_CALLBACK) `empty`, what its list says when there is nothing in it at all."""
    name = request.resolver_match.url_name if request.resolver_match else ""
    found = EMPTY.get((name or "").removesuffix("_changelist"))
    if not found or not (name or "").endswith("_changelist"):
        return {}
    may_go = bool(found.view) and request.user.has_perm(found.permission)
    empty = {"title": found.title, "words": found.words, "step": found.step}
    return {"empty": empty | {"url": html.url(found.view) if may_go else ""}}
