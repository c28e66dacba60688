"""The benchmark of the first word finds onsets and the times from them."""

import wave
from pathlib import Path

import numpy as np
import pytest

from bench.load.first_word import Times, evaluate, summary, write_microphone

RATE = 16_000


def test_microphone_has_pauses_between_utterances(tmp_path: Path) -> None:
    utterance = np.full(RATE, 0.5, np.float32)
    assert write_microphone(tmp_path / "a.wav", [utterance, utterance]) == 4 + 2 * (1 + 2)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == 10 * RATE


def test_times_are_counted_from_the_onset_in_the_sent_audio() -> None:
    audio = np.zeros(10 * RATE, np.int16)
    for at in (2 * RATE, 6 * RATE):
        audio[at : at + RATE] = 10_000
    # Messages of 40 ms; the page was busy in the first ones, and began to record at 1000 ms of its clock.
    sent = [[1000 + 40 * (i + 1) + (500 if i < 10 else 0), 640] for i in range(250)]
    noted = {
        "sent": sent,
        "heard": [["a", 3200, 1900], ["b", 7300, 5900]],
        "partials": [["a", 3400], ["a", 3700], ["b", 7600]],
        "shown": [["a", 3500], ["b", 7700]],
    }
    first, second = evaluate(audio, RATE, noted)
    assert (first.heard, first.partial, first.shown) == pytest.approx((0.2, 0.4, 0.5))
    assert (second.heard, second.partial, second.shown) == pytest.approx((0.3, 0.6, 0.7))


def test_utterance_without_a_word_is_left_out() -> None:
    audio = np.zeros(4 * RATE, np.int16)
    audio[2 * RATE : 3 * RATE] = 10_000
    noted = {"sent": [[1000, 64_000]], "heard": [["a", 3200, 1900]], "partials": [], "shown": []}
    assert evaluate(audio, RATE, noted) == []


def test_summary_has_median_and_p95_of_each_step() -> None:
    found = summary([Times(0.1, 0.2, 0.3), Times(0.3, 0.4, 0.5)])
    assert found["utterances"] == 2
    assert found["shown"] == {"median": 0.4, "p95": 0.49, "max": 0.5}
