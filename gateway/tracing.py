"""Traces over OTLP: only where OTEL_EXPORTER_OTLP_ENDPOINT is set and the extra `otel` is installed; else nothing is imported.

Requests, statements of the ORM, calls to NDW and Celery tasks become spans; a statement is without its values. Everything else is
OpenTelemetry's own environment (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS …).
"""

import logging

from django.conf import settings

logger = logging.getLogger(__name__)


def start() -> bool:
    """Begin to trace this process; return False where nobody asked for it or it cannot be. Call it after a fork."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return False
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        logger.warning("No traces: %s; install the extra `otel`", error)
        return False
    # What the environment says of the service wins.
    provider = TracerProvider(resource=Resource.create({"service.name": f"gateway-{settings.ROLE or 'command'}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    for one in (DjangoInstrumentor(), PsycopgInstrumentor(), RequestsInstrumentor(), CeleryInstrumentor()):
        one.instrument()
    return True
