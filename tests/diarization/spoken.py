"""Dialogues of synthetic voices, and the networks with their real weights."""

import shutil
import subprocess
import wave
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from asr.artifacts import ArtifactStore
from audio.clip import SAMPLE_RATE, Samples
from diarization.speaker_network import NAME, SpeakerNetwork
from diarization.turns import Turn

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite to synthesize speech")

SENTENCES = (
    "Good morning, I would like to book a table for four people on Friday evening.",
    "Certainly, at what time would you like to come, and is it a special occasion?",
    "At half past seven, please. It is the birthday of my sister, so a quiet corner would be nice.",
    "Then I will keep the table next to the garden window for you. May I have your name?",
    "My name is Miller, and my number is five five five, one two three four.",
    "Thank you very much, we look forward to seeing you and your family on Friday.",
)


@cache
def network() -> SpeakerNetwork:
    store = ArtifactStore.from_environment()
    if store.find(NAME) is None:
        pytest.skip(f"the weights are not here: ./entrypoint.sh pull {NAME}")
    return SpeakerNetwork.load(download=False)


@cache
def say(voice: str, text: str) -> Samples:
    """Return a text spoken by a voice of flite, float32 at 16 kHz."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, timeout=60)
        with wave.open(str(path)) as file:
            assert file.getframerate() == SAMPLE_RATE
            spoken = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return spoken.astype(np.float32) / np.float32(32_768)


def dialogue(
    voices: Sequence[str], sentences: Sequence[str] = SENTENCES, gap: float = 0.4
) -> tuple[Samples, list[Turn]]:
    """Return a dialogue in which the voices take turns, and who speaks when."""
    silence = np.zeros(round(gap * SAMPLE_RATE), np.float32)
    pieces, turns, at = [silence], [], len(silence)
    for number, sentence in enumerate(sentences):
        spoken = say(voices[number % len(voices)], sentence)
        turns.append(Turn(at, at + len(spoken), number % len(voices)))
        pieces += [spoken, silence]
        at += len(spoken) + len(silence)
    return np.concatenate(pieces), turns
