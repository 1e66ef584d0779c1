"""The entry point of the web processes."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

application = get_wsgi_application()
call_command("check")  # a WSGI server runs no checks by itself: a missing variable must stop it too
