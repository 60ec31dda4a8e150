"""Prometheus metrics under the names of controller-runtime, so that its dashboards work.

See https://book.kubebuilder.io/reference/metrics-reference. No label ever holds an object's name.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from adapter_operator.runtime.objects import Key

QUEUE: Final = "adapters"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Everything that is measured; implements the meters of queue, workers and client."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name, ours = ("name",), self.registry
        self._depth = Gauge("workqueue_depth", "Keys that wait.", name, registry=ours).labels(QUEUE)
        self._adds = Counter("workqueue_adds_total", "Keys put into the queue.", name, registry=ours).labels(QUEUE)
        self._retries = Counter("workqueue_retries_total", "Keys tried again.", name, registry=ours).labels(QUEUE)
        self._waited = Histogram(
            "workqueue_queue_duration_seconds", "How long keys waited.", name, registry=ours, buckets=_SECONDS
        ).labels(QUEUE)
        self._worked = Histogram(
            "workqueue_work_duration_seconds", "How long work on a key took.", name, registry=ours, buckets=_SECONDS
        ).labels(QUEUE)
        self._results = Counter(
            "controller_runtime_reconcile_total", "Reconciliations.", ("controller", "result"), registry=ours
        )
        self._errors = Counter(
            "controller_runtime_reconcile_errors_total", "Reconciliations that failed.", ("controller",), registry=ours
        )
        self._seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciliations took.",
            ("controller",),
            registry=ours,
            buckets=_SECONDS,
        )
        self._requests = Counter(
            "rest_client_requests_total", "Requests to the API server.", ("method", "code"), registry=ours
        )

    def added(self, depth: int) -> None:
        """See `QueueMeter`."""
        self._adds.inc()
        self._depth.set(depth)

    def started(self, depth: int, waited: float) -> None:
        """See `QueueMeter`."""
        self._waited.observe(waited)
        self._depth.set(depth)

    def finished(self, worked: float) -> None:
        """See `QueueMeter`."""
        self._worked.observe(worked)

    def retried(self) -> None:
        """See `QueueMeter`."""
        self._retries.inc()

    def reconciled(self, key: Key, result: str, seconds: float) -> None:
        """See `ReconcileMeter`."""
        controller = key.kind.lower()
        self._results.labels(controller, result).inc()
        self._seconds.labels(controller).observe(seconds)
        if result == "error":
            self._errors.labels(controller).inc()

    def request_done(self, method: str, code: str) -> None:
        """See `RequestMeter`."""
        self._requests.labels(method, code).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
