"""Test reading audio files and finding the speech in them."""

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy.audio_io import Samples, read_sound, speech_runs, split_at_pauses, trim, utterances_from

RATE = 16_000


def tone(ms: int, level: float = 0.5) -> Samples:
    wave = np.sin(np.arange(RATE * ms // 1000) * 0.3)
    return np.asarray(level * wave, np.float32)


def silence(ms: int) -> Samples:
    return np.zeros(RATE * ms // 1000, np.float32)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(5, 60), st.integers(45, 90)), min_size=1, max_size=5))
def test_runs_are_found_to_the_step(runs: list[tuple[int, int]]) -> None:
    pieces = [silence(100)]
    expected = []
    position = RATE // 10
    for speech, pause in runs:
        pieces += [tone(speech * 10), silence(pause * 10)]
        expected.append((position, position + speech * RATE // 100))
        position += (speech + pause) * RATE // 100
    assert speech_runs(np.concatenate(pieces), RATE, 400) == expected


def test_short_pauses_belong_to_a_run() -> None:
    sound = np.concatenate([tone(200), silence(300), tone(200), silence(500), tone(100)])
    assert [len(run) * 1000 // RATE for run in split_at_pauses(sound, RATE)] == [700, 100]


def test_trimming_takes_both_ends_and_no_pause() -> None:
    sound = np.concatenate([silence(200), tone(200), silence(900), tone(200), silence(200)])
    assert len(trim(sound, RATE)) * 1000 // RATE == 1300


@pytest.mark.parametrize("sound", [silence(0), silence(5), silence(1000)])
def test_silence_holds_no_speech(sound: Samples) -> None:
    assert speech_runs(sound, RATE, 400) == []
    assert len(trim(sound, RATE)) == 0


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setsampwidth(2)
        file.setnchannels(1)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def test_a_file_is_read_at_the_rate_asked_for(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(500), RATE)
    sound = read_sound(tmp_path / "a.wav", 8000)
    assert sound.dtype == np.float32
    assert len(sound) == 4000


def test_a_folder_gives_an_utterance_per_file_and_a_file_its_sentences(tmp_path: Path) -> None:
    sound = np.concatenate([silence(300), tone(400), silence(600), tone(400), silence(300)])
    for name in "abc":
        write_wav(tmp_path / f"{name}.wav", sound, RATE)
    (tmp_path / "notes.txt").write_text("no sound")
    assert [len(u) for _, u in utterances_from(tmp_path, RATE, 2)] == [RATE * 14 // 10] * 2
    assert [len(u) for _, u in utterances_from(tmp_path / "a.wav", RATE, 2)] == [RATE * 4 // 10] * 2
