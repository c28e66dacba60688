"""Test that the recognizer of these tests distinguishes clips."""

from pathlib import Path

import numpy as np
import pytest

from asr.recognizer import RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip
from tests.faults.fingerprint import BLOCK, SETTLED, BeyondMe, Fingerprint, text_of


def test_one_sample_makes_another_text() -> None:
    sound = np.linspace(-1, 1, SAMPLE_RATE, dtype=np.float32)
    other = sound.copy()
    other[-1] = 0
    assert text_of(sound) != text_of(other)
    assert text_of(sound).split()[0] == text_of(other).split()[0]


def test_it_fails_on_some_sounds_whenever_it_hears_them() -> None:
    sounds = [np.full(BLOCK, n / 1000, np.float32) for n in range(100)]
    failing = [n for n, sound in enumerate(sounds) if not _is_known(sound)]
    assert 0 < len(failing) < 30
    assert failing == [n for n, sound in enumerate(sounds) if not _is_known(sound)]


def test_it_leaves_a_file_once_it_has_answered(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    recognizer = Fingerprint(alive)
    request = RecognitionRequest(Clip(np.ones(100, np.float32)))
    for _ in range(SETTLED - 1):
        recognizer.transcribe([request])
    assert not alive.exists()
    recognizer.transcribe([request])
    assert alive.exists()


def _is_known(sound: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> bool:
    try:
        return bool(text_of(sound))
    except BeyondMe:
        return False


def test_unrepresentable_audio_raises() -> None:
    beyond = next(sound for n in range(100) if not _is_known(sound := np.full(BLOCK, n / 1000, np.float32)))
    with pytest.raises(BeyondMe):
        text_of(beyond)
