"""The lag is that of the oldest utterance without a final, or what the server reports."""

from typing import Any

from tests.web.browser import Modules

FOLLOW = """
({ Lag }, steps) => {
  const lag = new Lag();
  return steps.flatMap((step) => (typeof step === "number" ? [lag.at(step)] : (lag.note(step), [])));
}
"""


async def lags(modules: Modules, *steps: Any) -> list[int]:
    found: list[int] = await modules.run("lag", FOLLOW, steps)
    return found


async def test_lag_grows_until_the_final(modules: Modules) -> None:
    ends = [{"type": "speech_end", "id": each, "endMs": ms} for each, ms in (("a", 1000), ("b", 4000))]
    a, b = ({"type": "final", "id": each} for each in "ab")
    assert await lags(modules, 500, *ends, 5000, 9000, a, 9000, b, 9000) == [0, 4000, 8000, 5000, 0]


async def test_dropped_utterance_is_not_waited_for(modules: Modules) -> None:
    end = {"type": "speech_end", "id": "a", "endMs": 1000}
    assert await lags(modules, end, {"type": "dropped", "id": "a"}, 9000) == [0]


async def test_reported_lag_counts_until_the_connection_breaks(modules: Modules) -> None:
    report = {"type": "lag", "ms": 3000}
    assert await lags(modules, report, 100, {"type": "disconnected"}, 100) == [3000, 0]
