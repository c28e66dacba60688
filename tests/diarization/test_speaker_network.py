"""Test the networks with their real weights on synthetic voices, and what is reported without weights."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from asr.artifacts import ArtifactStore
from asr.errors import ModelUnavailable
from audio.clip import SAMPLE_RATE, Samples
from bench.accuracy.diarization_error import diarization_error
from diarization.chunk_cutter import ChunkCutter
from diarization.chunks import CHUNK_SAMPLES, LOCAL_SPEAKERS
from diarization.fbank import fbank
from diarization.known_speakers import labels_of, voice_of
from diarization.speaker_network import SpeakerNetwork
from diarization.turns import Diarization, PlacedChunk, Turn, diarize
from tests.diarization.spoken import SENTENCES, dialogue, needs_flite, network, say


def diarized(samples: Samples) -> Diarization:
    cutter = ChunkCutter()
    chunks = [*cutter.push(samples), *cutter.finish()]
    found = network().analyse([chunk.samples for chunk in chunks])
    return diarize([PlacedChunk(c.start, f) for c, f in zip(chunks, found, strict=True)])


@cache
def diarized_dialogue(*voices: str) -> tuple[list[Turn], Diarization]:
    """Return who speaks when in a dialogue of the voices, and what is found in it."""
    samples, turns = dialogue(voices)
    return turns, diarized(samples)


def test_missing_files_are_reported_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="pull speakers"):
        SpeakerNetwork.load(download=False, store=ArtifactStore(tmp_path, hub_cache=tmp_path))


@pytest.mark.slow
@needs_flite
@pytest.mark.parametrize("voices", [["rms", "slt"], ["rms", "awb"], ["rms", "slt", "awb"]])
def test_voices_are_told_apart(voices: list[str]) -> None:
    turns, found = diarized_dialogue(*voices)
    error = diarization_error(turns, found.turns, collar_seconds=0.25)
    assert error.confused <= 0.01 * error.reference
    assert error.rate <= 0.1


@pytest.mark.slow
@needs_flite
def test_one_voice_is_one_speaker() -> None:
    samples, _ = dialogue(["slt"])
    assert {turn.speaker for turn in diarized(samples).turns} == {0}


@pytest.mark.slow
@needs_flite
def test_voices_at_once_overlap() -> None:
    first, second = say("rms", SENTENCES[2]), say("slt", SENTENCES[3])
    length = max(len(first), len(second)) + SAMPLE_RATE
    both = np.zeros(length, np.float32)
    both[: len(first)] += first
    both[SAMPLE_RATE : SAMPLE_RATE + len(second)] += second
    [found] = network().analyse([both[:CHUNK_SAMPLES]])
    assert (found.active.sum(axis=1) == 2).mean() > 0.3


@pytest.mark.slow
@needs_flite
def test_known_voices_get_their_names() -> None:
    _, found = diarized_dialogue("rms", "slt")
    clips = [("Susan", say("slt", SENTENCES[0])), ("Robert", say("rms", SENTENCES[1]))]
    known = [(name, voice_of(network().analyse([clip[:CHUNK_SAMPLES]])[0])) for name, clip in clips]
    assert labels_of(found.voices, known) == ["Robert", "Susan"]
    assert labels_of(found.voices, known[:1]) == ["A", "Susan"]


@pytest.mark.slow
@needs_flite
def test_chunk_does_not_depend_on_its_batch() -> None:
    samples, _ = dialogue(["rms", "slt"])
    chunks = [samples[:CHUNK_SAMPLES], samples[CHUNK_SAMPLES : 2 * CHUNK_SAMPLES], samples[:70_000]]
    for alone, together in zip(chunks, network().analyse(chunks), strict=True):
        [found] = network().analyse([alone])
        assert np.array_equal(found.active, together.active)
        assert np.array_equal(found.pieces, together.pieces)
        assert found.embeddings == pytest.approx(together.embeddings, abs=1e-4)


@pytest.mark.slow
@needs_flite
def test_loudness_hardly_changes_an_embedding() -> None:
    features = fbank(say("rms", SENTENCES[0])[: 3 * SAMPLE_RATE])
    quiet = fbank(np.float32(0.25) * say("rms", SENTENCES[0])[: 3 * SAMPLE_RATE])
    first, second = network().embed([features, quiet])
    assert float(first @ second) > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("length", [0, 1, 1_000, 2_000, 16_000])
def test_silence_has_no_speakers(length: int) -> None:
    [found] = network().analyse([np.zeros(length, np.float32)])
    assert found.active.shape[1] == LOCAL_SPEAKERS
    assert not found.active.any()
    assert not len(found.pieces)


@pytest.mark.slow
def test_too_long_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        network().analyse([np.zeros(CHUNK_SAMPLES + 1, np.float32)])
