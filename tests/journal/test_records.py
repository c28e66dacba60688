"""Test that records are read as they were written, and that other payloads are refused."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asr.recognizer import Hypothesis, Word
from audio.clip import Clip, Samples
from journal.framing import read_frames
from journal.records import (
    PCM16,
    AudioRecord,
    CommandRecord,
    DamagedRecord,
    EndRecord,
    NoAudioRecord,
    OutputRecord,
    ReconnectRecord,
    Record,
    RecordType,
    RefusalRecord,
    SnapshotRecord,
    TakeoverRecord,
    decode_pcm,
    decode_record,
    encode_pcm,
    encode_record,
    merge_audio,
    output_record,
    quantize_pcm16,
)
from postprocessing.options import TextOptions
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import save
from streaming.utterance import RecordedResult
from tests.streaming.fakes import detect_all, sound, take_task
from vad.segmenter import Reason

STEP = 1 / 32_768
TEXT = Hypothesis("two words", (Word("two", 3, 5, 0.5), Word("words", 5, 9)), "en", 0.75, ignored=("prompt",))


def again(entry: Record) -> Record:
    (record,) = read_frames(encode_record(entry))
    return decode_record(record.kind, record.payload)


def midway() -> Session:
    """Return a session with an open utterance, which may continue one that waits for its final."""
    session = Session(SessionOptions(eager=False, continues=True))
    session.receive_audio(Clip(sound((True, 9_600), (False, 19_200), (True, 9_600)), 0))
    detect_all(session)
    session.effects.clear()
    return session


@pytest.mark.parametrize(
    "entry",
    [
        CommandRecord('{"type": "marker", "id": "\N{SNOWMAN}"}'),
        RefusalRecord(),
        TakeoverRecord(),
        ReconnectRecord(),
        EndRecord(Reason.DISCONNECT),
        EndRecord(Reason.NO_AUDIO),
        NoAudioRecord(),
        OutputRecord(None, [{"type": "error", "seq": 3}]),
        OutputRecord("Final", [{"seq": 1}], 7, RecordedResult(TEXT, "rate"), sound=(3, 9)),
        OutputRecord("Final", [], 7, "it failed"),
        OutputRecord(None, [{"text": "good m"}], 2, stable="good"),
    ],
)
def test_a_record_is_read_as_it_was_written(entry: Record) -> None:
    assert again(entry) == entry


def test_a_snapshot_keeps_what_is_done_to_the_texts() -> None:
    session = midway()
    assert session.open is not None
    session.open.text = TextOptions(True, (("um", ""),), True, ("pci", "ssn"))
    snapshot = save(session)
    read = again(SnapshotRecord({}, 12, snapshot))
    assert isinstance(read, SnapshotRecord)
    assert read.snapshot.state == snapshot.state


def test_a_snapshot_is_read_as_it_was_written() -> None:
    snapshot, memory = save(midway()), np.arange(320, dtype=np.float32)
    read = again(SnapshotRecord({"session_id": "5f1c"}, 12, snapshot, memory))
    assert isinstance(read, SnapshotRecord)
    assert (read.head, read.number, read.snapshot.state) == ({"session_id": "5f1c"}, 12, snapshot.state)
    assert snapshot.state.open is not None
    assert snapshot.state.waiting
    np.testing.assert_array_equal(read.snapshot.sound, snapshot.sound)
    np.testing.assert_array_equal(read.detector_state, memory)


def test_a_snapshot_keeps_what_the_next_utterance_continues() -> None:
    session = Session(SessionOptions(eager=False, continues=True))
    session.receive_audio(Clip(sound((True, 9_600), (False, 9_600)), 0))
    detect_all(session)
    task = take_task(session)
    assert task is not None
    session.receive_hypothesis(task, TEXT)
    session.effects.clear()
    snapshot = save(session)
    read = again(SnapshotRecord({}, 12, snapshot))
    assert isinstance(read, SnapshotRecord)
    assert read.snapshot.state == snapshot.state
    assert snapshot.state.before is not None
    assert (snapshot.state.before.said, snapshot.state.before.said_language) == ("two words", "en")
    _, clip = read.snapshot.closed_sounds()[1]
    np.testing.assert_array_equal(clip, task.request.clip.samples)


def test_a_snapshot_of_an_older_server_is_read() -> None:
    """It does not say what an utterance continues."""
    session = midway()
    assert session.open is not None
    session.open.previous = None
    snapshot = save(session)
    (record,) = read_frames(encode_record(SnapshotRecord({}, 12, snapshot)))
    first = 4 + int.from_bytes(record.payload[:4], "little")
    head = json.loads(record.payload[4:first])
    del head["state"]["before"], head["state"]["is_followed"]
    for utterance in (head["state"]["open"], *head["state"]["waiting"]):
        del utterance["pause"], utterance["said"], utterance["said_language"]
    text = json.dumps(head).encode()
    older = len(text).to_bytes(4, "little") + text + record.payload[first:]
    read = decode_record(record.kind, older)
    assert isinstance(read, SnapshotRecord)
    assert read.snapshot.state == snapshot.state


@given(st.lists(st.integers(-32_768, 32_767)))
def test_pcm16_is_two_bytes_per_sample_and_exact(values: list[int]) -> None:
    samples: Samples = np.array(values, np.float32) / np.float32(32_768)
    assert len(encode_pcm(samples)) == 1 + 2 * len(values)
    np.testing.assert_array_equal(decode_pcm(encode_pcm(samples)), samples)


@given(st.lists(st.floats(-3, 3, width=32)))
def test_any_samples_are_read_exactly(values: list[float]) -> None:
    samples = np.array(values, np.float32)
    np.testing.assert_array_equal(decode_pcm(encode_pcm(samples)), samples)


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(-0.96875, 0.96875, width=32)))
def test_samples_are_rounded_to_16_bits(samples: Samples) -> None:
    heard = quantize_pcm16(samples)
    assert heard.samples.dtype == np.float32
    assert np.abs(heard.samples - samples).max(initial=0) <= STEP / 2
    assert heard.is_pcm16
    assert encode_pcm(heard.samples, is_pcm16=True) == encode_pcm(heard.samples)
    assert encode_pcm(heard.samples)[:1] == PCM16
    np.testing.assert_array_equal(quantize_pcm16(heard.samples).samples, heard.samples)


@given(st.lists(st.integers(-32_768, 32_767)))
def test_exact_16_bit_samples_are_unchanged(values: list[int]) -> None:
    samples: Samples = np.array(values, np.float32) / np.float32(32_768)
    np.testing.assert_array_equal(quantize_pcm16(samples).samples, samples)


@pytest.mark.parametrize("loud", [1.0, 1.5, -1.5])
def test_samples_beyond_16_bits_are_not_clipped(loud: float) -> None:
    heard = quantize_pcm16(np.array([0.1, loud], np.float32))
    assert heard.samples[1] == np.float32(loud)
    read = again(heard)
    assert isinstance(read, AudioRecord)
    np.testing.assert_array_equal(read.samples, heard.samples)


@given(arrays(np.float32, 40, elements=st.floats(-1.5, 1.5, width=32)), st.integers(0, 40))
def test_rounding_does_not_depend_on_the_chunks(samples: Samples, cut: int) -> None:
    pieces = [quantize_pcm16(piece).samples for piece in (samples[:cut], samples[cut:])]
    np.testing.assert_array_equal(np.concatenate(pieces), quantize_pcm16(samples).samples)


def test_adjacent_audio_is_merged() -> None:
    pieces = [quantize_pcm16(np.full(n, n / 7, np.float32)) for n in (1, 2, 3)]
    loud = AudioRecord(np.full(4, 1.5, np.float32))
    command = CommandRecord("{}")
    together = list(merge_audio([pieces[0], pieces[1], command, pieces[2], loud, RefusalRecord()]))
    assert [type(entry) for entry in together] == [AudioRecord, CommandRecord, AudioRecord, RefusalRecord]
    for entry, parts in ((together[0], pieces[:2]), (together[2], [pieces[2], loud])):
        read = again(entry)
        assert isinstance(read, AudioRecord)
        np.testing.assert_array_equal(read.samples, np.concatenate([part.samples for part in parts]))
    assert list(merge_audio([pieces[0]])) == [pieces[0]]
    assert list(merge_audio([])) == []


def test_the_audio_of_a_final_is_recorded_as_a_range() -> None:
    final = FinalTranscript(3, Clip(np.zeros(160, np.float32), 320), Reason.SILENCE, TEXT, None)
    message = {"type": "response.audio_transcript.done", "audio": "AAAA", "seq": 4}
    entry = output_record(final, [message])
    assert entry == OutputRecord(
        "Final", [{**message, "audio": None}], 3, RecordedResult(TEXT, None), sound=(320, 480)
    )
    assert output_record(final, []).sound is None


def test_a_failure_has_the_kind_of_a_final() -> None:
    assert output_record(TranscriptionFailed(3, 0, 10, "broken"), []) == OutputRecord(
        "Final", [], 3, "broken"
    )


def test_a_partial_keeps_its_stable_words_and_has_no_kind() -> None:
    assert output_record(PartialTranscript(3, 0, "good mourning", 4), [{"seq": 1}]) == OutputRecord(
        None, [{"seq": 1}], 3, stable="good"
    )


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (UtteranceStarted(1, 0), "SpeechStarted"),
        (UtteranceEnded(1, 9, Reason.SILENCE), "SpeechStopped"),
        (AudioCleared(3, 4), "Cleared"),
        (MarkerReached("m"), "MarkerReached"),
        (StreamClosed(0, 0, 0, 0, 0), "Closed"),
    ],
)
def test_kinds_on_disk_keep_their_names(event: Event, kind: str) -> None:
    assert output_record(event, []).kind == kind


@pytest.mark.parametrize("event", [LagReported(100), NoteReached("n", 3)])
def test_events_that_depend_on_time_have_no_kind(event: LagReported | NoteReached) -> None:
    assert output_record(event, []).kind is None


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (99, b""),
        (RecordType.SNAPSHOT, b""),
        (RecordType.SNAPSHOT, b"\x02\0\0\0{}"),
        (RecordType.AUDIO, b""),
        (RecordType.AUDIO, b"\0\1"),
        (RecordType.AUDIO, b"\7\0\0"),
        (RecordType.COMMAND, b"\xff"),
        (RecordType.OUTPUT, b"[]"),
        (RecordType.END, b"tired"),
    ],
)
def test_an_invalid_payload_is_refused(code: int, payload: bytes) -> None:
    with pytest.raises(DamagedRecord):
        decode_record(code, payload)


@given(st.sampled_from(RecordType), st.binary(max_size=80))
def test_any_payload_is_a_record_or_refused(code: RecordType, payload: bytes) -> None:
    with suppress(DamagedRecord):
        decode_record(code, payload)


def test_a_snapshot_without_its_audio_is_refused() -> None:
    (record,) = read_frames(encode_record(SnapshotRecord({}, 0, save(midway()))))
    for lost in (1, 2, 500):
        with pytest.raises(DamagedRecord):
            decode_record(record.kind, record.payload[:-lost])
