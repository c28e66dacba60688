"""Test the loops of messages and their labels."""

import base64
import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy.audio_io import Samples
from bench.load.fast_ws_client import mask
from bench.load.message_tape import Label, Tape, frame_of, record_tape, samples_of

RATE = 16_000


def recorded(*seconds: float, binary: bool = True) -> Tape:
    utterances: list[Samples] = [np.full(int(s * RATE), 0.5, np.float32) for s in seconds]
    rng = np.random.default_rng(7)
    return record_tape(utterances, rng, rate=RATE, chunk_ms=100, gap_ms=(800, 2000), binary=binary)


def sound_of(tape: Tape) -> Samples:
    """Decode the binary frames of a tape, which have 8 bytes of header and 3,200 of PCM16, to float32."""
    pcm = b"".join(mask(frame[8:]) for frame in tape.frames)
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


def test_labels_say_where_the_speech_is() -> None:
    tape = recorded(1.0, 0.7, 2.3)
    sound = sound_of(tape)
    speech = np.zeros(len(sound), bool)
    for label in tape.labels:
        speech[round(label.start_ms * 16) : round(label.end_ms * 16)] = True
    assert np.abs(sound[~speech]).max() < 0.01
    assert np.median(sound[speech]) > 0.4
    assert [round(label.end_ms - label.start_ms) for label in tape.labels] == [1000, 700, 2300]


def test_gaps_have_the_length_asked_for() -> None:
    tape = recorded(1.0, 0.7, 2.3)
    labels = tape.labels
    gaps = [later.start_ms - earlier.end_ms for earlier, later in pairwise(labels)]
    assert all(800 <= gap <= 2000 for gap in gaps)
    assert 800 <= tape.ms - labels[-1].end_ms <= 2100


def test_speech_share_is_speech_over_all() -> None:
    tape = Tape(frames=(b"",) * 20, labels=(Label(0, 500), Label(1000, 1500)), chunk_ms=100)
    assert tape.speech_share == 0.5


def test_a_message_in_json_holds_a_chunk() -> None:
    frame = recorded(0.5, binary=False).frames[0]
    message = json.loads(mask(frame[8:]))
    assert message["type"] == "input_audio_buffer.append"
    assert message["sample_rate"] == RATE
    assert len(base64.b64decode(message["audio"])) == 3200


TAPE = Tape(frames=(b"",) * 50, labels=(Label(200, 900), Label(2000, 4000)), chunk_ms=100)


def test_a_stream_from_the_middle_has_the_labels_from_there() -> None:
    assert list(TAPE.utterances(30, 60)) == [
        (Label(-1000, 1000), False),
        (Label(2200, 2900), True),
        (Label(4000, 6000), True),
    ]


def test_first_words_move_with_their_utterances() -> None:
    rng = np.random.default_rng(0)
    sounds = [np.ones(RATE, np.float32), np.ones(RATE, np.float32)]
    tape = record_tape(
        sounds, rng, first_words_ms=[200, None], rate=RATE, chunk_ms=100, gap_ms=(500, 500), binary=True
    )
    assert [label.first_word_ms for label in tape.labels] == [200, None]
    later = [label for label, _ in tape.utterances(5, len(tape.frames) + 10)]
    assert [label.first_word_ms for label in later] == [-300, None, tape.ms - 300]


@settings(deadline=None)
@given(st.integers(0, 49), st.integers(1, 200))
def test_a_long_stream_repeats_the_loop(first: int, count: int) -> None:
    heard = list(TAPE.utterances(first, count))
    starts = [label.start_ms for label, _ in heard]
    assert starts == sorted(starts)
    for label, whole in heard:
        on_tape = (label.start_ms + first * 100) % TAPE.ms
        assert on_tape in {200, 2000}
        assert whole == (label.start_ms >= 0 and label.end_ms <= count * 100)
        assert label.end_ms > 0
        assert label.start_ms < count * 100


def test_the_samples_of_a_binary_frame_can_be_read_again() -> None:
    samples = np.linspace(-0.9, 0.9, 1600, dtype=np.float32)
    for count in (10, 1600):
        frame = frame_of(samples[:count], RATE, binary=True)
        np.testing.assert_allclose(samples_of(frame), samples[:count], atol=1 / 32768)
