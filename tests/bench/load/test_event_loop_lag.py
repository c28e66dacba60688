"""Test reading the event loop lag from the metrics of a server."""

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from bench.load.event_loop_lag import lag_between, lag_buckets, quantile

BOUNDS = (0.001, 0.01, 0.1)


class Server:
    """Return the /metrics text of a server that observes its own lag."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._lag = Histogram("stt_loop_lag_seconds", "lag", buckets=BOUNDS, registry=self._registry)

    def observe(self, *lags: float) -> str:
        for lag in lags:
            self._lag.observe(lag)
        return generate_latest(self._registry).decode()


def test_only_what_was_observed_in_between_counts() -> None:
    server = Server()
    before = lag_buckets(server.observe(5.0, 5.0))
    after = lag_buckets(server.observe(*[0.0005] * 98, 0.005, 0.005))
    figures = lag_between(before, after)
    assert figures is not None
    assert figures["max_below"] == 10.0
    assert figures["p99"] == 5.5
    assert 0 < (figures["p50"] or 0) < 1


def test_above_the_last_bound_nothing_is_known() -> None:
    server = Server()
    figures = lag_between(lag_buckets(server.observe()), lag_buckets(server.observe(7.0)))
    assert figures == {"p50": None, "p99": None, "max_below": None}


def test_a_server_without_the_metric_has_no_lag() -> None:
    assert lag_buckets(None) is None
    assert lag_buckets("# HELP other x\n# TYPE other counter\nother_total 1\n") is None
    assert lag_between(None, {float("inf"): 1.0}) is None


def test_a_server_that_observed_nothing_has_no_lag() -> None:
    buckets = lag_buckets(Server().observe(0.1))
    assert lag_between(buckets, buckets) is None


@settings(deadline=None)
@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=100), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_that_holds_it(values: list[float], share: float) -> None:
    bounds = [*BOUNDS, float("inf")]
    counts = [float(sum(value <= bound for value in values)) for bound in bounds]
    result = quantile(bounds, counts, share)
    below = next(number for number, count in enumerate(counts) if count >= share * counts[-1])
    assert result <= bounds[below] * 1.000001
    assert result >= (bounds[below - 1] * 0.999999 if below else 0.0)
