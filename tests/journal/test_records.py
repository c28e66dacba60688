"""Entries of a journal: written and read they are the same, and what is no entry is refused by name."""

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
    OutputRecord,
    ReconnectRecord,
    Record,
    RecordType,
    RefusalRecord,
    SnapshotRecord,
    TakeoverRecord,
    decode_pcm,
    decoded,
    encode_pcm,
    encoded,
    merge_audio,
    output_record,
    quantize_pcm16,
)
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
from tests.streaming.fakes import detect_all, sound
from vad.segmenter import Reason

STEP = 1 / 32_768
TEXT = Hypothesis("two words", (Word("two", 3, 5, 0.5), Word("words", 5, 9)), "en", 0.75, ignored=("prompt",))


def again(entry: Record) -> Record:
    (record,) = read_frames(encoded(entry))
    return decoded(record.kind, record.payload)


def midway() -> Session:
    """A session with an open utterance, one whose final is awaited, and a marker."""
    session = Session(SessionOptions(eager=False))
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
        OutputRecord(None, [{"type": "error", "seq": 3}]),
        OutputRecord("Final", [{"seq": 1}], 7, RecordedResult(TEXT, "rate"), sound=(3, 9)),
        OutputRecord("Final", [], 7, "it failed"),
        OutputRecord(None, [{"text": "good m"}], 2, stable="good"),
    ],
)
def test_an_entry_is_read_as_it_was_written(entry: Record) -> None:
    assert again(entry) == entry


def test_a_snapshot_is_read_as_it_was_written() -> None:
    snapshot, memory = save(midway()), np.arange(320, dtype=np.float32)
    read = again(SnapshotRecord({"session_id": "5f1c"}, 12, snapshot, memory))
    assert isinstance(read, SnapshotRecord)
    assert (read.head, read.number, read.snapshot.state) == ({"session_id": "5f1c"}, 12, snapshot.state)
    assert snapshot.state.open is not None
    assert snapshot.state.waiting
    np.testing.assert_array_equal(read.snapshot.sound, snapshot.sound)
    np.testing.assert_array_equal(read.memory, memory)


@given(st.lists(st.integers(-32_768, 32_767)))
def test_pcm16_takes_two_bytes_a_sample_and_comes_back_exactly(values: list[int]) -> None:
    samples: Samples = np.array(values, np.float32) / np.float32(32_768)
    assert len(encode_pcm(samples)) == 1 + 2 * len(values)
    np.testing.assert_array_equal(decode_pcm(encode_pcm(samples)), samples)


@given(st.lists(st.floats(-3, 3, width=32)))
def test_any_samples_come_back_exactly(values: list[float]) -> None:
    samples = np.array(values, np.float32)
    np.testing.assert_array_equal(decode_pcm(encode_pcm(samples)), samples)


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(-0.96875, 0.96875, width=32)))
def test_sound_is_heard_as_two_bytes_a_sample_can_say_it(samples: Samples) -> None:
    heard = quantize_pcm16(samples)
    assert heard.samples.dtype == np.float32
    assert np.abs(heard.samples - samples).max(initial=0) <= STEP / 2
    assert heard.is_pcm16
    assert encode_pcm(heard.samples, is_pcm16=True) == encode_pcm(heard.samples)
    assert encode_pcm(heard.samples)[:1] == PCM16
    np.testing.assert_array_equal(quantize_pcm16(heard.samples).samples, heard.samples)


@given(st.lists(st.integers(-32_768, 32_767)))
def test_what_two_bytes_can_say_is_left_as_it_is(values: list[int]) -> None:
    samples: Samples = np.array(values, np.float32) / np.float32(32_768)
    np.testing.assert_array_equal(quantize_pcm16(samples).samples, samples)


@pytest.mark.parametrize("loud", [1.0, 1.5, -1.5])
def test_what_is_too_loud_for_two_bytes_is_not_cut_off(loud: float) -> None:
    heard = quantize_pcm16(np.array([0.1, loud], np.float32))
    assert heard.samples[1] == np.float32(loud)
    come_back = again(heard)
    assert isinstance(come_back, AudioRecord)
    np.testing.assert_array_equal(come_back.samples, heard.samples)


@given(arrays(np.float32, 40, elements=st.floats(-1.5, 1.5, width=32)), st.integers(0, 40))
def test_a_sample_is_heard_the_same_wherever_the_stream_is_cut(samples: Samples, cut: int) -> None:
    pieces = [quantize_pcm16(piece).samples for piece in (samples[:cut], samples[cut:])]
    np.testing.assert_array_equal(np.concatenate(pieces), quantize_pcm16(samples).samples)


def test_neighbouring_sound_is_one_entry_and_the_same_sound() -> None:
    pieces = [quantize_pcm16(np.full(n, n / 7, np.float32)) for n in (1, 2, 3)]
    loud = AudioRecord(np.full(4, 1.5, np.float32))
    command = CommandRecord("{}")
    together = list(merge_audio([pieces[0], pieces[1], command, pieces[2], loud, RefusalRecord()]))
    assert [type(entry) for entry in together] == [AudioRecord, CommandRecord, AudioRecord, RefusalRecord]
    for entry, parts in ((together[0], pieces[:2]), (together[2], [pieces[2], loud])):
        come_back = again(entry)
        assert isinstance(come_back, AudioRecord)
        np.testing.assert_array_equal(come_back.samples, np.concatenate([part.samples for part in parts]))
    assert list(merge_audio([pieces[0]])) == [pieces[0]]
    assert list(merge_audio([])) == []


def test_the_sound_of_a_final_is_told_by_its_place_alone() -> None:
    final = FinalTranscript(3, Clip(np.zeros(160, np.float32), 320), Reason.SILENCE, TEXT, None)
    message = {"type": "response.audio_transcript.done", "audio": "AAAA", "seq": 4}
    entry = output_record(final, [message])
    assert entry == OutputRecord(
        "Final", [{**message, "audio": None}], 3, RecordedResult(TEXT, None), sound=(320, 480)
    )
    assert output_record(final, []).sound is None


def test_a_failure_is_told_in_the_place_of_a_final() -> None:
    assert output_record(TranscriptionFailed(3, 0, 10, "broken"), []) == OutputRecord(
        "Final", [], 3, "broken"
    )


def test_of_a_partial_the_stable_words_count_and_it_is_not_told_again() -> None:
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
        (StreamClosed(9, 9, 0, 0, 1), "Closed"),
    ],
)
def test_kinds_keep_the_names_of_older_journals(event: Event, kind: str) -> None:
    assert output_record(event, []).kind == kind


@pytest.mark.parametrize("event", [LagReported(100), NoteReached("n", 3)])
def test_what_hangs_on_time_is_not_counted(event: LagReported | NoteReached) -> None:
    assert output_record(event, []).kind is None


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (99, b""),
        (RecordType.OPENED, b""),
        (RecordType.OPENED, b"\x02\0\0\0{}"),
        (RecordType.SOUND, b""),
        (RecordType.SOUND, b"\0\1"),
        (RecordType.SOUND, b"\7\0\0"),
        (RecordType.COMMAND, b"\xff"),
        (RecordType.TOLD, b"[]"),
        (RecordType.ENDED, b"tired"),
    ],
)
def test_what_is_no_entry_is_refused(code: int, payload: bytes) -> None:
    with pytest.raises(DamagedRecord):
        decoded(code, payload)


@given(st.sampled_from(RecordType), st.binary(max_size=80))
def test_any_payload_is_an_entry_or_refused(code: RecordType, payload: bytes) -> None:
    with suppress(DamagedRecord):
        decoded(code, payload)


def test_a_snapshot_without_its_sound_is_refused() -> None:
    (record,) = read_frames(encoded(SnapshotRecord({}, 0, save(midway()))))
    for lost in (1, 2, 500):
        with pytest.raises(DamagedRecord):
            decoded(record.kind, record.payload[:-lost])
