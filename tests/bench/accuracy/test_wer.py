"""Test the parts of bench.accuracy.wer that need no server."""

import numpy as np

import client
from asr.dummy import DummyRecognizer
from audio.clip import SAMPLE_RATE, Clip
from bench.accuracy.corpus import LongRecording
from bench.accuracy.wer import differing_texts, lines_of, recognize_alone, transcribe
from bench.load.recording_client import RecordingClient


def test_clips_are_transcribed_in_order_and_their_cost_is_measured() -> None:
    clips = [Clip(np.zeros(seconds * SAMPLE_RATE, np.float32)) for seconds in (1, 2)]
    texts, cost = transcribe(DummyRecognizer(), clips)
    assert len(texts) == 2
    assert cost["audio_seconds"] == 3.0
    assert cost["rtf"] >= 0


def test_finals_are_held_against_what_the_recognizer_makes_of_their_sound() -> None:
    recording = LongRecording(np.zeros(2 * SAMPLE_RATE, np.float32), ())
    received = RecordingClient(finals=[client.Final("never said", "1", 500, 1500, "silence", 1)])
    alone = recognize_alone(DummyRecognizer(), [recording], [received])
    (text,) = (final.text for final in alone[0].finals)
    assert differing_texts([received], alone) == [("never said", text)]
    assert differing_texts(alone, alone) == []


def test_a_table_has_a_row_for_whatever_a_column_knows() -> None:
    assert lines_of({"a": {"wer": 1.5}, "b": {"wer": 2, "rtf": 0.1}}) == [
        "|  | a | b |",
        "|---|---|---|",
        "| wer | 1.5 | 2 |",
        "| rtf |  | 0.1 |",
    ]
