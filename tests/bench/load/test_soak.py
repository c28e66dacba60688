"""Test the soak's evaluation: growth, slowing down and errors are found."""

import pytest

from bench.accuracy.scoring import Score
from bench.load.simulated_client import Behaviour, ClientResult
from bench.load.soak import SoakLog, evaluate, growth_per_hour, table, within

HOUR = 3600.0
MB = 2.0**20


def soak_log(memory_slope: float = 0.0, latency_slope: float = 0.0) -> SoakLog:
    """Return the log of an hour with one event per second. Slopes are relative changes over that hour."""
    seconds = [float(second) for second in range(int(HOUR))]
    return SoakLog(
        finals=[(at, 400.0 * (1 + latency_slope * at / HOUR) + at % 7) for at in seconds],
        memory=[(at, 500 * MB * (1 + memory_slope * at / HOUR)) for at in seconds],
        connects=9000,
    )


def test_constant_memory_and_latency_are_held() -> None:
    figures = evaluate(soak_log(), HOUR)
    assert figures["held"]
    assert (figures["grown_%"], figures["slower_%"]) == (0.0, 0.0)
    assert figures["rss_mb_first"] == figures["rss_mb_last"] == 500


@pytest.mark.parametrize("slopes", [{"memory_slope": 0.05}, {"latency_slope": 0.3}, {"memory_slope": -0.05}])
def test_growth_or_slowing_down_is_not_held(slopes: dict[str, float]) -> None:
    assert not evaluate(soak_log(**slopes), HOUR)["held"]


def test_an_error_misses_the_target_even_without_growth() -> None:
    with_errors = soak_log()
    with_errors.add(Behaviour.STEADY, ClientResult(connects=1, score=Score(utterances=2, lost=1)), began=0.0)
    assert not evaluate(with_errors, HOUR)["held"]


def test_only_latencies_of_steady_clients_count() -> None:
    mixed = SoakLog()
    visit = ClientResult(connects=2, score=Score(utterances=1, finals=[(1500.0, 420.0)]))
    mixed.add(Behaviour.RESUMES, visit, began=10.0)
    assert (mixed.finals, mixed.connects, mixed.utterances) == ([], 2, 1)
    mixed.add(Behaviour.STEADY, visit, began=10.0)
    assert mixed.finals == [(11.5, 420.0)]


def test_the_warm_up_is_left_out() -> None:
    warming = soak_log()
    warming.memory = [(at, value if at > 120 else value / 2) for at, value in warming.memory]
    assert evaluate(warming, HOUR)["held"]


def test_growth_is_a_share_an_hour() -> None:
    rows = [(float(at), 100 + 10 * at / HOUR) for at in range(0, 1800, 10)]
    assert growth_per_hour(rows) == pytest.approx(10 / 102.5, rel=0.01)
    assert within(rows, 10, 30) == [rows[1][1], rows[2][1]]


def test_the_table_has_both_windows() -> None:
    lines = table(evaluate(soak_log(), HOUR)).splitlines()
    assert lines[0] == "|  | first window | last window | change |"
    assert lines[-1] == "| memory, MB | 500.0 | 500.0 | 0.0 % |"
