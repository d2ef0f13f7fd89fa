"""Metrics of the service, for Prometheus."""

from ..errors import missing_extra

try:
    import prometheus_client as prometheus
except ImportError as error:
    raise missing_extra("serve", error) from error


class Metrics:
    """What is counted, for Prometheus."""

    def __init__(self) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        self.requests = prometheus.Counter(
            "openmed_requests", "Requests", ["path", "status"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "openmed_request_seconds", "Time of a request", ["path"], registry=registry
        )
        self.entities = prometheus.Counter(
            "openmed_entities", "Entities found", ["label"], registry=registry
        )
        self.errors = prometheus.Counter(
            "openmed_text_errors", "Texts that could not be annotated", registry=registry
        )
        self.batches = prometheus.Histogram(
            "openmed_batch_texts",
            "Texts answered together",
            buckets=[2**i for i in range(11)],
            registry=registry,
        )
        self.batch_seconds = prometheus.Histogram(
            "openmed_batch_seconds", "Time of a batch", registry=registry
        )
        self.waiting = prometheus.Gauge(
            "openmed_waiting_texts", "Texts that are waiting", registry=registry
        )
