"""Test the measurement of endpointing: where the pause lies, and what counts as a cut."""

import numpy as np
import pytest

from asr.recognizer import Hypothesis
from audio.clip import HOP, samples_from_ms
from bench.accuracy.turns import END_MS, ENDPOINTINGS, Outcome, Turn, follow, summary, with_pause
from tests.streaming.fakes import hear, sound


def test_pause_lies_at_the_quietest_place_near_the_boundary() -> None:
    samples = np.full(32_000, 0.5, np.float32)
    samples[16_240:16_400] = 0.01
    turn = with_pause(samples, 16_000, 8_000, np.random.default_rng(1))
    first, last = turn.pause
    assert 16_240 < first < 16_400
    assert last - first == 8_000
    assert turn.end == 40_000
    assert len(turn.samples) == 40_000 + samples_from_ms(END_MS)
    assert np.abs(turn.samples[first:last]).max() < 0.01


# 40 hops of speech, a pause of 640 ms, 40 hops of speech.
TURN = Turn(
    sound((True, 40 * HOP), (False, 20 * HOP), (True, 40 * HOP), (False, 90 * HOP)),
    (40 * HOP, 60 * HOP),
    100 * HOP,
)


@pytest.mark.parametrize(
    ("name", "probability", "cut", "delay_ms"),
    [
        ("fixed, 300 ms", 0.0, True, 320),
        ("fixed, 700 ms", 0.0, False, 704),
        ("model", 0.9, True, 224),
        ("model", 0.1, False, 1_216),
    ],
)
def test_cut_and_delay_follow_from_the_silence(
    name: str, probability: float, cut: bool, delay_ms: int
) -> None:
    probabilities = hear(TURN.samples.reshape(-1, HOP))
    outcome = follow(
        TURN, probabilities, ENDPOINTINGS[name], lambda request: Hypothesis(""), lambda clip: probability
    )
    assert outcome == Outcome(cut, 0, delay_ms)


def test_cut_at_another_pause_is_counted_apart() -> None:
    turn = Turn(TURN.samples, (10 * HOP, 11 * HOP), TURN.end)
    probabilities = hear(turn.samples.reshape(-1, HOP))
    outcome = follow(
        turn, probabilities, ENDPOINTINGS["fixed, 300 ms"], lambda request: Hypothesis(""), lambda clip: 0.0
    )
    assert outcome == Outcome(False, 1, 320)


def test_summary_has_shares_and_delays() -> None:
    outcomes = [Outcome(True, 0, 100), Outcome(False, 1, 200), Outcome(False, 0, 300), Outcome(False, 0, 600)]
    assert summary(outcomes) == {
        "pauses_cut_%": 25.0,
        "cuts_elsewhere_per_turn": 0.25,
        "delay_mean_ms": 300,
        "delay_p50_ms": 250,
        "delay_p95_ms": 600,
    }
