"""Read the whole configuration from the environment; `.env.example` explains every variable.

A missing variable does not stop the import: `ocpi.checks` names it (ocpi.E001) and stops the process.
"""

import random
import re
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# What `make run` made for itself: secrets and, unless DATABASE_URL says otherwise, embedded servers.
GATEWAY_DATA = Path(env("GATEWAY_DATA", default=str(BASE_DIR / "var"))).resolve()
if (GATEWAY_DATA / "secrets.env").exists():
    env.read_env(GATEWAY_DATA / "secrets.env")

SECRET_KEY = env("SECRET_KEY", default="")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
FIELD_KEYS = env.list("FIELD_KEYS", default=[])  # "<kid>:<base64 of 32 bytes>", newest first
TOKEN_PEPPER = env("TOKEN_PEPPER", default="")
SIGNING_KEYS = env.list("SIGNING_KEYS", default=[])  # ES256 private keys in PEM, newest first, "\n" escaped
DEBUG = env.bool("DEBUG", default=False)

# `web` is the service of docker-compose.yml, as Prometheus calls it.
# "" = whatever host the caller named, if it is allowed. `make run` notes its own address for the other commands.
_address = GATEWAY_DATA / "address"
PUBLIC_URL = env("PUBLIC_URL", default=_address.read_text().strip() if _address.exists() else "").rstrip("/")
_public_host = urlsplit(PUBLIC_URL).hostname
# What health checks and Prometheus call us goes with any list.
ALLOWED_HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "web",
    *env.list("ALLOWED_HOSTS", default=list(filter(None, [_public_host]))),
]
NDW_ALLOWED_HOSTS = env.list("NDW_ALLOWED_HOSTS", default=["iam.ndw.nu"])
SOURCE_ALLOWED_HOSTS = env.list("SOURCE_ALLOWED_HOSTS", default=[])  # besides public hosts by https on port 443
NDW_RATE_CAP = env.int("NDW_RATE_CAP", default=50)  # requests a second and Connection; NDW's own limit is unknown
TENANT_RATE = env.int("TENANT_RATE", default=200)  # a tenant's requests with upload tokens, a second
FAILED_AUTH_RATE = env.int("FAILED_AUTH_RATE", default=60)  # refused credentials from one address, a minute
WEB_PROCESSES = env.int("WEB_PROCESSES", default=2)  # each has its share of both

INSTALLED_APPS = [
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "tenants",
    "ocpi",
    "gateway",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",  # how long ago, in the reader's language
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "csp",
]
MIDDLEWARE = [
    "ocpi.access.AccessMiddleware",
    "django.middleware.security.SecurityMiddleware",  # these two first: their headers are on whatever is answered below
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ocpi.middleware.OcpiMiddleware",
    "ocpi.middleware.PagePolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "ocpi.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "tenants.second_factor.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "gateway.urls"
WSGI_APPLICATION = "gateway.wsgi.application"
APPEND_SLASH = False  # both forms are routes; a redirect would lose an upload's body
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# How long the database may work, and a lock be waited for, before a process gives up: a request is answered 503 then, a task
# comes again. Web processes say by themselves what they are, workers by GATEWAY_ROLE. Imports and commands (migrate, backup,
# recheck) have all the time they need.
_ROLES = {
    "web": " -c statement_timeout=30s -c lock_timeout=5s",
    "worker": " -c statement_timeout=300s",
}
ROLE = env("GATEWAY_ROLE", default="")

# PgBouncer's version, where it stands before the database in transaction mode: each transaction has whichever session is free, so
# no cursor outlives it, the limits above are PgBouncer's to set (README), and statements are prepared from 1.21 on only.
PGBOUNCER = env("PGBOUNCER", default="")
_version = re.match(r"(\d+)\.(\d+)", PGBOUNCER)
_prepares = not PGBOUNCER or (_version is not None and tuple(map(int, _version.groups())) >= (1, 21))

# Without DATABASE_URL and REDIS_URL the embedded servers of GATEWAY_DATA are meant; manage.py and `make run` set both.
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgresql:///gateway?user=gateway")}
_OPTIONS = {
    "connect_timeout": 3,
    "application_name": "gateway",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms without an answer to what was sent: the server's host is gone
}
# A process that is frozen, or whose host is gone, in the middle of a transaction holds its locks no longer.
_LIMITS = "-c idle_in_transaction_session_timeout=10s" + _ROLES.get(ROLE, "")
DATABASES["default"] |= {
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "DISABLE_SERVER_SIDE_CURSORS": bool(PGBOUNCER),
    "OPTIONS": {
        **_OPTIONS,
        "prepare_threshold": 5 if _prepares else None,  # for tenants.sql
        **({} if PGBOUNCER else {"options": _LIMITS}),
        **DATABASES["default"].get("OPTIONS", {}),
    },
}
# What pulls are read from while it knows all that the primary does (ocpi.replica). It is given up early: the primary is there.
REPLICA_URL = env("REPLICA_URL", default="")
if REPLICA_URL.startswith(("postgres://", "postgresql://")):
    DATABASES["replica"] = env.db_url("REPLICA_URL")
    _theirs = DATABASES["replica"].get("OPTIONS", {})
    DATABASES["replica"] |= {
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            **_OPTIONS,
            "prepare_threshold": 5,
            "connect_timeout": 2,
            "tcp_user_timeout": 2_000,
            **_theirs,
            "options": _theirs.get("options", _LIMITS) + " -c default_transaction_read_only=on",
        },
        "TEST": {"MIRROR": "default"},
    }
    DATABASE_ROUTERS = ["ocpi.replica.Router"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env("REDIS_URL", default="")
HAS_SERVERS = bool(env("DATABASE_URL", default="") and REDIS_URL)
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}  # nothing that matters hangs on Redis

_validation = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_validation}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_validation}.MinimumLengthValidator", "OPTIONS": {"min_length": 15}},
    {"NAME": f"{_validation}.CommonPasswordValidator"},
]
LOGIN_URL, LOGIN_REDIRECT_URL = "/admin/login/", "/admin/"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("nl", "Nederlands")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_PATH, LANGUAGE_COOKIE_AGE, LANGUAGE_COOKIE_HTTPONLY = "/admin/", 365 * 86_400, True
TIME_ZONE = "Europe/Amsterdam"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = env("STATIC_ROOT", default=str(BASE_DIR / "static"))
# Leaflet, the map's script. Its package is no installed app: its admin wants GDAL.
STATICFILES_DIRS = [str(metadata.distribution("django-leaflet").locate_file("leaflet/static"))]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

IS_HTTPS = PUBLIC_URL.startswith("https://")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
# Which of several gateways the admin's badge says this is: production, staging, development, or a word of one's own.
GATEWAY_ENVIRONMENT = env("GATEWAY_ENVIRONMENT", default="production" if IS_HTTPS else "development")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = IS_HTTPS
# "Lax", not "Strict": a link in an alert mail opens for who is logged in.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 8 * 3600
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
X_FRAME_OPTIONS = "DENY"
# TLS ends in front of us, and that is where http is sent to https; subdomains and preloading are for who owns the domain.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = ("__Host-session", "__Host-csrf") if IS_HTTPS else ("session", "csrf")
CSRF_COOKIE_HTTPONLY = True
# Unfold's Alpine works out expressions in attributes, which 'unsafe-eval' means; no script stands in a page.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}

# Five wrong passwords for a name from an address: a quarter of an hour's rest for the two together, kept in the database.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # nor is there a row for each guess at what is locked
AXES_LOCKOUT_TEMPLATE = "admin/locked.html"
AXES_CLIENT_IP_CALLABLE = "tenants.remote.address"
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
HAS_PROXY = env.bool("HAS_PROXY", default=False)  # in front of us, which overwrites X-Forwarded-For
ADMIN_SECOND_FACTOR = env.bool("ADMIN_SECOND_FACTOR", default=IS_HTTPS)
OTP_TOTP_ISSUER = "OCPI gateway"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],  # every view names its own: an upload token is not a pull token
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [],  # ocpi.bodies reads them itself
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "ocpi.envelope.AlwaysJson",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "ocpi.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "OCPI gateway",
    "DESCRIPTION": (
        "Upload Locations and Tariffs over OCPI 2.2.1 (*OCPI Receiver*), check them and see what is to be mended "
        "(*REST*); NDW pulls them (*OCPI Sender*). Every finding names a rule: **[the rule book](/api/docs/rules/)**, "
        "**[het regelboek in het Nederlands](/api/docs/rules/?lang=nl)**."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["ocpi.openapi_ocpi.only_rest"],
    "POSTPROCESSING_HOOKS": ["ocpi.openapi_ocpi.complete"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},  # or each page would be sent to swagger.io
}

# kombu and redis-py spell a unix socket differently.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1) if REDIS_URL.startswith("unix:") else REDIS_URL
CELERY_TASK_DEFAULT_QUEUE = "push"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True  # safe: every task is an idempotent drain
# A drain ends itself in 20 s. One that was frozen has to end too: what it sent late is followed by the present state.
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_PUBLISH_RETRY = False  # the doorbell fails fast; the sweep and the relay find what it missed
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 15
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": not REDIS_URL.startswith("unix:"),
    "health_check_interval": 10,
    "retry_on_timeout": False,
}
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # in memory: a shelve file breaks when beat is killed
CELERY_BEAT_MAX_LOOP_INTERVAL = 2
CELERY_TIMEZONE = TIME_ZONE
_NIGHTLY = crontab(hour=3, minute=random.randrange(60))  # noqa: S311 - not every gateway at the same minute
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "ocpi.tasks.drain", "schedule": 5.0, "options": {"expires": 5}},
    "spread": {"task": "ocpi.tasks.spread", "schedule": 5.0, "options": {"expires": 5}},
    "counts": {"task": "ocpi.tasks.fold_counts", "schedule": 60.0, "options": {"expires": 60}},
    "recheck": {"task": "ocpi.tasks.recheck_stored", "schedule": 60.0, "options": {"expires": 60}},
    "imports": {"task": "ocpi.tasks.run_imports", "schedule": 5.0, "options": {"expires": 5, "queue": "imports"}},
    "sources": {"task": "ocpi.tasks.fetch_sources", "schedule": 15.0, "options": {"expires": 15, "queue": "imports"}},
    "offboard": {"task": "ocpi.tasks.offboard", "schedule": 5.0, "options": {"expires": 5, "queue": "imports"}},
    "prune_imports": {"task": "ocpi.tasks.prune_imports", "schedule": 3600.0, "options": {"expires": 3600}},
    "prune": {"task": "ocpi.tasks.prune_attempts", "schedule": 3600.0, "options": {"expires": 3600}},
    "prune_versions": {"task": "ocpi.tasks.prune_versions", "schedule": 3600.0, "options": {"expires": 3600}},
    "prune_uploads": {"task": "ocpi.tasks.prune_uploads", "schedule": 3600.0, "options": {"expires": 3600}},
    "prune_crawls": {"task": "ocpi.tasks.prune_crawls", "schedule": 3600.0, "options": {"expires": 3600}},
    "scorecards": {"task": "ocpi.tasks.write_scorecards", "schedule": 60.0, "options": {"expires": 60}},
    "watch": {"task": "ocpi.tasks.watch", "schedule": 10.0, "options": {"expires": 10}},
    "days": {"task": "ocpi.tasks.close_days", "schedule": 1800.0, "options": {"expires": 1800}},
    "statuses": {"task": "ocpi.tasks.watch_statuses", "schedule": 60.0, "options": {"expires": 60, "queue": "imports"}},
    # Once a day each; what a mail server refused at half past six is tried again every hour.
    "digests": {
        "task": "ocpi.tasks.mail_digests",
        "schedule": crontab(hour="6-23", minute=30),
        "options": {"expires": 1800, "queue": "imports"},
    },
    "reconcile": {"task": "ocpi.tasks.reconcile_deliveries", "schedule": _NIGHTLY, "options": {"expires": 3600}},
}

IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=1_073_741_824)  # of one bulk upload, decompressed

# The map's background; without MAP_TILES_URL the page asks nobody else for anything.
MAP_TILES_URL = env("MAP_TILES_URL", default="")
MAP_TILES_ATTRIBUTION = env("MAP_TILES_ATTRIBUTION", default="")

# The alarm that NDW lacks a change for too long; without ALERT_EMAILS it is only logged.
ALERT_EMAILS = env.list("ALERT_EMAILS", default=[])
DEFAULT_FROM_EMAIL = env("EMAIL_FROM", default=next(iter(ALERT_EMAILS), "webmaster@localhost"))
EMAIL_TIMEOUT = 10
globals().update(env.email_url("EMAIL_URL", default="smtp://localhost:25"))

# Per process, as prometheus-client wants it: a folder that all processes of one gateway share, emptied when they start anew.
METRICS_DIR = env("PROMETHEUS_MULTIPROC_DIR", default="")
METRICS_TOKEN = env(
    "METRICS_TOKEN", default=""
)  # who shows it as Bearer may read /metrics from anywhere; "": only from inside

OTEL_EXPORTER_OTLP_ENDPOINT = env("OTEL_EXPORTER_OTLP_ENDPOINT", default="")  # see gateway.tracing

LOG_FORMAT = env("LOG_FORMAT", default="line")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "ocpi.logs.LineFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "ocpi.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json" if LOG_FORMAT == "json" else "line"}
    },
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "authlib": {"level": "INFO"},  # below it writes down the tokens it issues
    },
}


def _page(title: Any, icon: str, view: str) -> dict:
    """Return a line of the admin's sidebar; only who may see the page sees the line."""
    app, _, model = view.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: any(
            request.user.has_perm(f"{app}.{verb}_{model}") for verb in ("view", "change")
        ),
    }


UNFOLD = {
    "SITE_TITLE": "OCPI gateway",
    "SITE_HEADER": "OCPI gateway",
    "SITE_SUBHEADER": _("From CPOs to DOT-NL"),
    "SITE_SYMBOL": "ev_station",
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "SHOW_LANGUAGES": True,
    "ENVIRONMENT": "ocpi.admin.look.environment",
    "ENVIRONMENT_TITLE_PREFIX": "ocpi.admin.look.title_prefix",
    "GLOBAL_CALLBACK": "ocpi.admin.look.everywhere",
    "BORDER_RADIUS": "6px",
    "STYLES": [
        lambda request: static("ocpi/admin.css"),
        lambda request: static("ocpi/history.css"),
        lambda request: static("ocpi/workplace.css"),
        lambda request: static("ocpi/look.css"),
        lambda request: static("ocpi/home.css"),
        lambda request: static("ocpi/offboard.css"),
    ],
    "SCRIPTS": [lambda request: static("ocpi/look.js"), lambda request: static("ocpi/names.js")],
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("ocpi/favicon.svg")},
    ],
    "DASHBOARD_CALLBACK": "ocpi.admin.dashboard.fill",
    "COLORS": {
        "primary": {
            "50": "#ecfdf5", "100": "#d1fae5", "200": "#a7f3d0", "300": "#6ee7b7", "400": "#34d399", "500": "#10b981",
            "600": "#047857", "700": "#065f46", "800": "#064e3b", "900": "#053f30", "950": "#022c22",
        }
    },
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": [
            {"items": [{"title": _("Home"), "icon": "home", "link": reverse_lazy("admin:index")}]},
            {
                "title": _("Access"),
                "items": [
                    _page(_("Tenants"), "domain", "tenants.tenant")
                    | {"active": lambda request: {"tenant", "offboard"} & set(request.path.split("/"))},
                    _page(_("Tokens"), "key", "tenants.token"),
                    _page(_("OAuth2 clients"), "vpn_key", "tenants.oauthclient"),
                ],
            },
            {
                "title": _("NDW"),
                "items": [
                    _page(_("Service accounts"), "badge", "tenants.serviceaccount"),
                    _page(_("Connections"), "link", "tenants.connection"),
                ],
            },
            {
                "title": _("Uploaded"),
                "items": [
                    _page(_("Problems"), "rule", "ocpi.location") | {"link": reverse_lazy("admin:ocpi_problems")},
                    _page(_("Locations"), "location_on", "ocpi.location")
                    | {
                        "active": lambda request: "/ocpi/location/" in request.path
                        and not {"problems", "map", "offboard"} & set(request.path.split("/"))
                    },
                    _page(_("Tariffs"), "euro", "ocpi.tariff"),
                    _page(_("Map"), "map", "ocpi.location") | {"link": reverse_lazy("admin:ocpi_map")},
                    _page(_("Status watch"), "troubleshoot", "ocpi.watched"),
                    _page(_("Imports"), "upload_file", "ocpi.import")
                    | {"badge": "ocpi.admin.look.held", "badge_variant": "warning"},
                    _page(_("Sources"), "cloud_download", "ocpi.source"),
                    _page(_("Uploads by the hour"), "bar_chart", "ocpi.uploadhour")
                    | {"permission": lambda request: request.user.has_perm("ocpi.view_location")},
                ],
            },
            {
                "title": _("Delivered"),
                "items": [
                    _page(_("Waiting"), "pending_actions", "ocpi.push") | {"link": reverse_lazy("admin:ocpi_waiting")},
                    _page(_("Minute"), "timer", "ocpi.push") | {"link": reverse_lazy("admin:ocpi_minute")},
                    _page(_("Pushes"), "send", "ocpi.push")
                    | {
                        "active": lambda request: "/ocpi/push/" in request.path
                        and not {"waiting", "minute"} & set(request.path.split("/")),
                        "badge": "ocpi.admin.look.rejected",
                        "badge_variant": "danger",
                    },
                    _page(_("Attempts"), "history", "ocpi.pushattempt"),
                ],
            },
            {
                "title": _("Operators"),
                "items": [
                    _page(_("Users"), "person", "auth.user"),
                    _page(_("Groups"), "group", "auth.group"),
                    _page(_("Tenant users"), "supervisor_account", "tenants.membership"),
                    _page(_("Audit"), "manage_search", "admin.logentry"),
                ],
            },
        ],
    },
}  # fmt: skip
