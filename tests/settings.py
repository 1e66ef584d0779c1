"""Settings for the tests: fixed values for the environment, then the real settings.

Without DATABASE_URL and REDIS_URL the embedded servers of `var/test` are used; `conftest.py` starts them.
"""

import base64
import os
from pathlib import Path

from gateway import embedded

# Processes of a test run (xdist's, the gateway's own) inherit what the first one settled.
_data = Path(os.environ.get("GATEWAY_DATA") or Path(__file__).parent.parent / "var") / "test"
DATA = Path(os.environ.setdefault("GATEWAY_TEST_DATA", str(_data)))
_own = dict(zip(("DATABASE_URL", "REDIS_URL"), embedded.urls(DATA), strict=True))
IS_EMBEDDED = all(os.environ.get(name, url) == url for name, url in _own.items())
if IS_EMBEDDED:
    os.environ |= _own

# A P-256 key made for the tests; it opens nothing else.
_SIGNING_KEY = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXoS6BulV7ciLg+qEcr3QPapdBsuMMJlHgPQijcfdVxyhRANC"
    "AAShcutId0ESmI0wLunWvpRbhWC50xOFiaSojQxeBuIafJh9XFL2ELZhTScbSt3+C8MozK+A7rM57b/Ge1wMk2u4"
)
os.environ |= {
    "GATEWAY_DATA": str(DATA),
    "SECRET_KEY": "only-for-the-tests-" * 3,
    "FIELD_KEYS": "t1:" + base64.b64encode(b"t" * 32).decode(),
    "TOKEN_PEPPER": "only-for-the-tests",
    "SIGNING_KEYS": "t1:" + _SIGNING_KEY,
    "NDW_ALLOWED_HOSTS": "127.0.0.1,localhost",
    "SOURCE_ALLOWED_HOSTS": "127.0.0.1",
    "NDW_RATE_CAP": os.environ.get("NDW_RATE_CAP", "500"),
    "TENANT_RATE": os.environ.get("TENANT_RATE", "1000000"),
    "FAILED_AUTH_RATE": os.environ.get("FAILED_AUTH_RATE", "1000000"),
    "LOG_LEVEL": "WARNING",
}
os.environ.pop("PUBLIC_URL", None)
os.environ.pop("REPLICA_URL", None)

from gateway.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
