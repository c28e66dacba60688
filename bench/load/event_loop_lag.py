"""Read the event loop lag of a server from its /metrics."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

LAG_METRIC: Final = "stt_loop_lag_seconds"

Buckets = dict[float, float]  # upper bound in seconds to cumulative count


def fetch_metrics(url: str) -> str | None:
    """Return the text of /metrics on the host of a ws:// URL; None if that server has no /metrics.

    Raises urllib.error.URLError for other failures.
    """
    address = f"http://{urlsplit(url).netloc}/metrics"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=10) as response:
            text: str = response.read().decode()
            return text
    except urllib.error.HTTPError as error:
        if error.code in (404, 426):
            return None
        raise


def lag_buckets(text: str | None) -> Buckets | None:
    """Return the histogram of the event loop lag; None if the metric is missing."""
    for family in text_string_to_metric_families(text or ""):
        if family.name == LAG_METRIC:
            return {
                float(sample.labels["le"]): sample.value
                for sample in family.samples
                if sample.name == f"{LAG_METRIC}_bucket"
            }
    return None


def lag_between(before: Buckets | None, after: Buckets | None) -> dict[str, float | None] | None:
    """Return p50, p99 and an upper bound of the maximum between two readings, in ms.

    A value above the last bucket is None. Without new observations the result is None.
    """
    if before is None or after is None:
        return None
    bounds = sorted(after)
    counts = [after[bound] - before[bound] for bound in bounds]
    if counts[-1] <= 0:
        return None
    largest = next(bound for bound, count in zip(bounds, counts, strict=True) if count == counts[-1])
    figures = {
        "p50": quantile(bounds, counts, 0.5),
        "p99": quantile(bounds, counts, 0.99),
        "max_below": largest,
    }
    return {
        name: None if value == float("inf") else round(value * 1000, 2) for name, value in figures.items()
    }


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float:
    """Interpolate a quantile linearly within its bucket, as Prometheus does; inf above the last finite bound.

    counts: cumulative, one per bound; share: between 0 and 1
    """
    rank = share * counts[-1]
    low, below = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= rank:
            if bound == float("inf"):
                return bound
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    raise AssertionError("Cumulative counts must not decrease.")
