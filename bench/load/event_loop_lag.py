"""Loop lag: how late the heartbeat of a server's event loop is, as its /metrics tell."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

LAG: Final = "stt_loop_lag_seconds"

Buckets = dict[float, float]  # upper bound in seconds to cumulative count


def fetch_metrics(url: str) -> str | None:
    """The text of /metrics beside a ws:// URL; None if that server has none."""
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
    """The histogram of the event loop's lag; None if it is not there."""
    for family in text_string_to_metric_families(text or ""):
        if family.name == LAG:
            return {
                float(sample.labels["le"]): sample.value
                for sample in family.samples
                if sample.name == f"{LAG}_bucket"
            }
    return None


def lag_between(before: Buckets | None, after: Buckets | None) -> dict[str, float | None] | None:
    """p50, p99 and a bound on the maximum of what was counted between two looks, in ms."""
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
    """Linear within the bucket, as Prometheus has it; inf when it lies above the last bound.

    counts: cumulative
    """
    rank = share * counts[-1]
    low, below = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= rank:
            if bound == float("inf"):
                return bound
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    raise AssertionError("the last count is the largest")
