"""Exposition: figures in Prometheus' text format, in one registry for whatever a process is: beat, worker, or both.

The one module that knows prometheus-client, an extra: `backbeat[metrics]`. Nothing counts with its objects: each part keeps plain figures of its own,
and makes families of them when somebody asks. Names and meanings stand in docs/metrics.md, and a test holds both to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

__all__ = ["CONTENT_TYPE_LATEST", "Exposition", "Families", "Part"]


class Part(Protocol):
    """What a process is, as figures."""

    def collect(self) -> Iterable[Metric]:
        """All of them, as of now. From any thread."""
        ...


class Exposition:
    """Renders parts and the process's own figures whenever it is asked. Thread-safe. Raises ValueError for parts that share a name."""

    def __init__(self, *parts: Part) -> None:
        self._registry = CollectorRegistry()
        for part in parts:
            self._registry.register(_Named(part))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics, as of now."""
        return generate_latest(self._registry)


class _Named:
    """A part whose names the registry looks at, so that no two have the same."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def describe(self) -> Iterable[Metric]:
        return self._part.collect()

    def collect(self) -> Iterable[Metric]:
        return self._part.collect()


class Families:
    """Makes the families of one part, whose names begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def counter(self, name: str, text: str, value: float) -> Metric:
        return CounterMetricFamily(self._prefix + name, text, value=value)

    def gauge(self, name: str, text: str, value: float) -> Metric:
        return GaugeMetricFamily(self._prefix + name, text, value=value)

    def info(self, text: str, labels: Mapping[str, str]) -> Metric:
        """A gauge that is always 1, and says something by its labels."""
        family = GaugeMetricFamily(f"{self._prefix}info", text, labels=[*labels])
        family.add_metric([*labels.values()], 1)
        return family

    def counters(
        self, name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
    ) -> Metric:
        """One for each set of labels."""
        family = CounterMetricFamily(self._prefix + name, text, labels=labels)
        for names, value in values:
            family.add_metric(_encodable(names), value)
        return family

    def histograms(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        values: Iterable[tuple[Sequence[str], Sequence[int], float]],
    ) -> Metric:
        """One for each set of labels: counts by bucket, not cumulative, one more than bounds; and the sum of all."""
        family = HistogramMetricFamily(self._prefix + name, text, labels=labels)
        edges = [*map(str, bounds), "+Inf"]
        for names, counts, total in values:
            buckets = list(zip(edges, map(float, accumulate(counts)), strict=True))
            family.add_metric(_encodable(names), buckets=buckets, sum_value=total)
        return family


def _encodable(labels: Sequence[str]) -> list[str]:
    """Labels with a sign in place of what UTF-8 cannot hold: a lone surrogate in a name must not cost the whole page."""
    return [label.encode("utf-8", "backslashreplace").decode() for label in labels]
