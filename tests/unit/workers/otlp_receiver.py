"""A small OTLP/HTTP receiver: takes spans and metrics as a back end would, and lets a test look at them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan


@dataclass(frozen=True)
class Span:
    """A span as it arrived; ids are hexadecimal, ``parent`` is empty at a root."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    failed: bool
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    instance: str

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True)
class Point:
    """A data point of a metric; ``value`` is a histogram's count for a histogram."""

    metric: str
    value: float
    attributes: dict[str, Any]
    instance: str


class Receiver:
    """What came in so far."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._points: list[Point] = []

    def spans(self) -> list[Span]:
        with self._lock:
            return list(self._spans)

    def points(self, metric: str, **attributes: str) -> list[Point]:
        with self._lock:
            points = list(self._points)
        return [p for p in points if p.metric == metric and attributes.items() <= p.attributes.items()]

    def latest(self, metric: str, **attributes: str) -> dict[tuple[Any, ...], float]:
        """The last value of each series, by instance and attributes: points are cumulative."""
        points = self.points(metric, **attributes)
        return {(p.instance, *sorted(p.attributes.items())): p.value for p in points}

    def sum(self, metric: str, **attributes: str) -> float:
        return sum(self.latest(metric, **attributes).values())

    count = sum

    def last(self, metric: str, **attributes: str) -> float | None:
        points = self.points(metric, **attributes)
        return points[-1].value if points else None

    def take_traces(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            instance = _values(resource.resource.attributes).get("service.instance.id", "")
            for scope in resource.scope_spans:
                with self._lock:
                    self._spans += [_span(span, instance) for span in scope.spans]

    def take_metrics(self, body: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            instance = _values(resource.resource.attributes).get("service.instance.id", "")
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    value = point.count if hasattr(point, "count") else getattr(point, point.WhichOneof("value"))
                    with self._lock:
                        self._points.append(Point(metric.name, value, _values(point.attributes), instance))


def _span(span: Any, instance: str) -> Span:
    return Span(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        failed=span.status.code == 2,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_values(span.attributes),
        instance=instance,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port for the time of a block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            {"/v1/traces": state.take_traces, "/v1/metrics": state.take_metrics}[self.path](body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
