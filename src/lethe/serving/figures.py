"""What Prometheus is told: what this service answered, and what is looked up when it asks. Never of whom.

Labels are names of routes, families, datasets, sources and states: few, and chosen by nobody who asks. BentoML's own
metrics are off, because they keep the path of every request as it came, which may hold an id.

``prometheus_client`` decides when it is imported whether its values are shared by all workers, and BentoML says where
they are only when a worker starts: nothing here imports it before the first figure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper ends of the bins that requests are counted in."""


ByLabels = dict[tuple[str, ...], float]
"""Values by the values of labels."""


@dataclass(frozen=True)
class Gauge:
    """A figure as it is now."""

    name: str
    about: str
    labels: tuple[str, ...]
    values: ByLabels

    @classmethod
    def plain(cls, name: str, about: str, value: float) -> Gauge:
        return cls(name, about, (), {(): value})


Look = Callable[[], Iterable[Gauge]]


class Figures:
    """Of all workers together. ``looks``: what is looked up at each scrape, by whichever worker is asked."""

    def __init__(self, *looks: Look) -> None:
        self.looks = looks

    def answered(self, family: str, source: str) -> None:
        """One answer went out."""
        self._answers.labels(family, source).inc()

    def took(self, route: str, status: int, seconds: float) -> None:
        """One request was dealt with."""
        self._requests.labels(route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """All figures, in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        counted = self._counted
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        looked_up = CollectorRegistry(auto_describe=False)
        looked_up.register(self)
        return generate_latest(counted) + generate_latest(looked_up)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus's registry: what is looked up now."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        for gauge in (gauge for look in self.looks for gauge in look()):
            metric = GaugeMetricFamily(gauge.name, gauge.about, labels=gauge.labels)
            for labels, value in gauge.values.items():
                metric.add_metric(labels, value)
            yield metric

    @cached_property
    def _counted(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry

        return CollectorRegistry()

    @cached_property
    def _answers(self) -> Counter:
        from prometheus_client import Counter

        about = "Answers by the family that gave them and by what they came from"
        return Counter("lethe_answers", about, ["family", "source"], registry=self._counted)

    @cached_property
    def _requests(self) -> Histogram:
        from prometheus_client import Histogram

        about = "Seconds from a request to the end of its answer"
        return Histogram("lethe_request_seconds", about, ["route", "status"], registry=self._counted, buckets=SECONDS)
