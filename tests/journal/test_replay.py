"""Test what is restored from the files of a journal."""

import numpy as np
import pytest

from asr.recognizer import Hypothesis
from audio.clip import Clip, Samples
from journal.records import (
    AudioRecord,
    CommandRecord,
    EndRecord,
    OutputRecord,
    ReconnectRecord,
    Record,
    RefusalRecord,
    SnapshotRecord,
    TakeoverRecord,
    encode_record,
    output_record,
)
from journal.replay import replay_journal
from streaming.events import StreamClosed
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import save
from streaming.utterance import RecordedResult
from tests.streaming.fakes import detect_all, sound, take_hops
from vad.segmenter import Reason

FRESH = save(Session(SessionOptions()))
TEXT = RecordedResult(Hypothesis("good morning"), None)


def file(*entries: Record) -> bytes:
    return b"".join(encode_record(entry) for entry in entries)


def ramp(start: int, end: int) -> Samples:
    """Return samples that all differ from each other."""
    return np.arange(start, end, dtype=np.float32) / np.float32(32_768)


def after(samples: int) -> Session:
    """Return a session that has received so many samples of silence."""
    session = Session(SessionOptions())
    session.receive_audio(Clip(ramp(0, samples), 0))
    while (hops := take_hops(session)) is not None:
        session.receive_probabilities([0.0] * len(hops))
    return session


def test_input_since_the_snapshot_is_replayed() -> None:
    tail: list[Record] = [
        AudioRecord(ramp(0, 100)),
        CommandRecord("{}"),
        AudioRecord(ramp(100, 160)),
        EndRecord(Reason.DISCONNECT),
    ]
    data = file(SnapshotRecord({"session_id": "5f1c"}, 0, FRESH), *tail[:2], RefusalRecord(), *tail[2:])
    found = replay_journal([data])
    assert found is not None
    assert (found.head, found.refused, found.intact) == ({"session_id": "5f1c"}, 1, len(data))
    assert [type(entry) for entry in found.tail] == [type(entry) for entry in tail]
    assert sum(len(entry.samples) for entry in found.tail if isinstance(entry, AudioRecord)) == 160


@pytest.mark.parametrize(
    ("since", "takeovers"),
    [
        ([], 0),
        ([TakeoverRecord()], 1),
        (
            [
                AudioRecord(ramp(0, 100)),
                TakeoverRecord(),
                OutputRecord("Final"),
                TakeoverRecord(),
                EndRecord(Reason.DISCONNECT),
            ],
            2,
        ),
        ([TakeoverRecord(), TakeoverRecord(), ReconnectRecord()], 0),
        ([TakeoverRecord(), AudioRecord(ramp(0, 100)), TakeoverRecord()], 1),
        ([TakeoverRecord(), CommandRecord("{}")], 0),
        ([TakeoverRecord(), RefusalRecord()], 0),
    ],
)
def test_takeovers_since_the_last_client_input_are_counted(since: list[Record], takeovers: int) -> None:
    found = replay_journal([file(SnapshotRecord({}, 0, FRESH), *since)])
    assert found is not None
    assert found.failed_takeovers == takeovers


def test_sent_messages_are_counted_and_kept() -> None:
    found = replay_journal(
        [
            file(
                SnapshotRecord({}, 0, FRESH),
                OutputRecord("SpeechStarted", [{"seq": 1}]),
                AudioRecord(ramp(0, 32_000)),
                OutputRecord(None, [{"seq": 2}], 1, stable="good"),
                OutputRecord("Final", [{"seq": 3}], 1, TEXT, sound=(10, 50)),
                OutputRecord("SpeechStarted", [{"seq": 4}]),
                OutputRecord(None, [{"seq": 5}], 2, stable="how are"),
                OutputRecord("Final", [], 3, "it failed"),
            )
        ]
    )
    assert found is not None
    assert found.sent == {"SpeechStarted": 2, "Final": 2}
    assert found.begun.results == {1: TEXT, 3: "it failed"}
    assert found.begun.stable_words[2] == ["how", " are"]
    assert ([message["seq"] for message, _ in found.messages], found.number) == ([1, 2, 3, 4, 5], 5)
    heard = found.messages[2][1]
    assert heard is not None
    np.testing.assert_array_equal(heard, ramp(10, 50))
    assert sum(sound is None for _, sound in found.messages) == 4


def test_a_torn_tail_is_left_out() -> None:
    whole = file(SnapshotRecord({}, 0, FRESH), AudioRecord(ramp(0, 100)))
    found = replay_journal([whole + file(AudioRecord(ramp(100, 200)))[:-1]])
    assert found is not None
    assert (len(found.tail), found.intact) == (1, len(whole))


def test_the_newest_snapshot_counts_and_older_files_give_messages() -> None:
    second = after(32_000)
    files = [
        file(
            SnapshotRecord({"n": 1}, 0, FRESH),
            AudioRecord(ramp(0, 32_000)),
            OutputRecord("Final", [{"seq": 1}], 1, TEXT),
        ),
        file(
            SnapshotRecord({"n": 2}, 1, save(second)),
            AudioRecord(ramp(32_000, 40_000)),
            OutputRecord("Final", [{"seq": 2}], 2, TEXT, sound=(31_000, 33_000)),
        ),
        file(SnapshotRecord({"n": 3}, 2, FRESH))[:-5],
    ]
    found = replay_journal(files)
    assert found is not None
    assert found.head == {"n": 2}
    assert found.begun.snapshot.state.received == 32_000
    assert found.sent == {"Final": 1}
    assert [message["seq"] for message, _ in found.messages] == [1, 2]
    np.testing.assert_array_equal(found.messages[1][1], ramp(31_000, 33_000))


def test_messages_after_a_deleted_file_are_kept() -> None:
    found = replay_journal(
        [
            file(SnapshotRecord({}, 0, FRESH), OutputRecord(None, [{"seq": 1}])),
            file(SnapshotRecord({}, 7, save(after(3_200))), OutputRecord(None, [{"seq": 8}])),
        ]
    )
    assert found is not None
    assert ([message["seq"] for message, _ in found.messages], found.number) == ([8], 8)


def test_the_audio_of_a_final_is_found_in_the_snapshot() -> None:
    session = Session(SessionOptions(eager=False))
    samples = sound((True, 9_600), (False, 96_000))
    session.receive_audio(Clip(samples, 0))
    detect_all(session)
    session.effects.clear()
    snapshot = save(session)
    waiting = snapshot.state.waiting[0]
    assert not isinstance(waiting, str)
    assert waiting.end is not None
    place = (waiting.start, waiting.end)
    lost = (0, 50)
    found = replay_journal(
        [
            file(
                SnapshotRecord({}, 0, snapshot),
                OutputRecord("Final", [{}], 1, TEXT, sound=place),
                OutputRecord("Final", [{}], 2, TEXT, sound=lost),
            )
        ]
    )
    assert found is not None
    np.testing.assert_array_equal(found.messages[0][1], samples[slice(*place)])


def test_a_session_whose_stream_closed_is_over() -> None:
    closed = output_record(StreamClosed(0, 0, 0, 0, 0), [])
    assert [
        found is not None and found.is_over
        for found in (
            replay_journal([file(SnapshotRecord({}, 0, FRESH), *entries)]) for entries in ([], [closed])
        )
    ] == [False, True]


def test_files_without_a_snapshot_hold_no_session() -> None:
    assert replay_journal([]) is None
    assert replay_journal([b"", b"nonsense", file(AudioRecord(ramp(0, 10)))]) is None
