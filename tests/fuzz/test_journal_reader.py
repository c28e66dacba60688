"""Test that damaged journal files are read up to the damage without an exception."""

import json
import tracemalloc
from random import Random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from audio.clip import Clip
from journal.framing import Frame, frame, read_frames
from journal.records import (
    AudioRecord,
    CommandRecord,
    EndRecord,
    OutputRecord,
    Record,
    RecordType,
    RefusalRecord,
    SnapshotRecord,
    encode_record,
)
from journal.replay import ReplayedSession, replay_journal
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import Snapshot, save
from streaming.utterance import RecordedResult
from tests.examples import examples
from tests.fuzz.malformed import spoilt_object
from tests.streaming.fakes import detect_all, sound
from vad.segmenter import Reason

SEEDS = st.integers(0, 2**32)
MAX_MEMORY_BYTES = 20 << 20  # the files below have a few hundred thousand bytes


def spoken() -> Snapshot:
    """Return a session inside an utterance, while an earlier one waits for its text."""
    session = Session(SessionOptions(eager=False))
    session.receive_audio(Clip(sound((True, 9_600), (False, 16_000), (True, 8_000)), 0))
    detect_all(session)
    session.effects.clear()
    return save(session)


SPOKEN = spoken()
TEXT = RecordedResult(Hypothesis("good morning"), None)
BEHIND = SPOKEN.state.received
FILES: tuple[tuple[Record, ...], ...] = (
    (
        SnapshotRecord({"session_id": "5f1c"}, 0, save(Session(SessionOptions()))),
        OutputRecord("reply", [{"type": "session.created", "seq": 1}]),
        AudioRecord(np.zeros(BEHIND, np.float32)),
        OutputRecord("Final", [{"seq": 2}], 1, TEXT, sound=(100, 5_000)),
    ),
    (
        SnapshotRecord({"session_id": "5f1c"}, 2, SPOKEN, np.zeros(448, np.float32)),
        AudioRecord(np.full(3_200, 0.25, np.float32)),
        CommandRecord(json.dumps({"type": "input_audio_buffer.commit"})),
        RefusalRecord(),
        OutputRecord("SpeechStopped", [{"seq": 3}]),
        OutputRecord(None, [{"seq": 4}], 2, stable="how are"),
        OutputRecord("Final", [{"seq": 5}], 2, "it failed"),
        EndRecord(Reason.DISCONNECT),
    ),
)
WHOLE = [b"".join(map(encode_record, file)) for file in FILES]


def spoil(chance: Random, data: bytes) -> bytes:
    """Damage the bytes as a failing disk or an incomplete copy would."""
    at, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    bit = bytes((data[at] ^ 1 << chance.randrange(8),)) if at < len(data) else b""
    return chance.choice(
        (
            data[:at],
            data[:at] + bit + data[at + 1 :],
            data[:at] + bytes(end - at) + data[end:],
            data[:at] + data[end:],
            data[:end] + data[at:],
            data + chance.randbytes(chance.randint(0, 300)),
            chance.randbytes(chance.randint(0, 300)) + data,
        )
    )


def alike(read: ReplayedSession, whole: ReplayedSession) -> bool:
    """Check that the records read are a prefix of those written."""
    tail, messages = len(read.tail), len(read.messages)
    return (
        [type(entry) for entry in read.tail] == [type(entry) for entry in whole.tail[:tail]]
        and [message for message, _ in read.messages] == [message for message, _ in whole.messages[:messages]]
        and read.head == whole.head
        and read.begun.snapshot.state == whole.begun.snapshot.state
    )


@given(SEEDS)
def test_any_damage_leaves_the_records_before_it(seed: int) -> None:
    chance = Random(seed)
    data = spoil(chance, WHOLE[1])
    same = next(
        (n for n, (ours, theirs) in enumerate(zip(data, WHOLE[1], strict=False)) if ours != theirs), None
    )
    same = min(len(data), len(WHOLE[1])) if same is None else same
    ends = [record.end for record in read_frames(WHOLE[1])]
    whole = [end for end in ends if end <= same]
    read = list(read_frames(data))
    assert [record.end for record in read][: len(whole)] == whole
    found = replay_journal([data])
    assert (found is not None) >= bool(whole)
    if found is not None and whole and len(read) <= len(ends):
        limit = replay_journal([WHOLE[1]])
        assert limit is not None
        assert len(read) > len(whole) or alike(found, limit)


@given(st.integers(0, sum(map(len, WHOLE))))
def test_a_file_that_is_torn_anywhere_is_the_session_up_to_there(kept: int) -> None:
    files = [WHOLE[0][:kept], WHOLE[1][: max(0, kept - len(WHOLE[0]))]]
    found = replay_journal(files)
    first = next(read_frames(WHOLE[0])).end
    assert (found is None) == (kept < first)
    if found is not None:
        assert found.intact <= max(map(len, files))


@examples(400)
@given(SEEDS)
def test_records_that_are_whole_and_nonsense_end_the_reading(seed: int) -> None:
    """Return records of unknown content with a valid check sum, as another version might write."""
    chance = Random(seed)
    files = []
    for data in WHOLE:
        frames = [frame(record.kind, record.payload) for record in read_frames(data)]
        place = chance.randrange(len(frames))
        frames[place] = nonsense(chance, [*read_frames(data)][place])
        files.append(b"".join(frames))
    found = replay_journal(chance.sample(files, len(files)))
    assert found is None or found.intact <= max(map(len, files))


def nonsense(chance: Random, record: Frame) -> bytes:
    payload = record.payload
    if record.kind == RecordType.OUTPUT and chance.random() < 0.8:
        return frame(record.kind, json_of(spoilt_object(chance, json.loads(payload))))
    if (
        record.kind == RecordType.SNAPSHOT and chance.random() < 0.8
    ):  # its text has a length before it, sound behind
        behind = 4 + int.from_bytes(payload[:4], "little")
        text = json_of(spoilt_object(chance, json.loads(payload[4:behind])))
        return frame(record.kind, len(text).to_bytes(4, "little") + text + payload[behind:])
    return frame(chance.choice((*RecordType, 0, 7, 255)), spoil(chance, payload))


def json_of(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "replace")


@examples(40)
@given(SEEDS)
def test_reading_takes_no_more_memory_than_the_files_call_for(seed: int) -> None:
    chance = Random(seed)
    files = [spoil(chance, data) for data in WHOLE]
    tracemalloc.start()
    try:
        replay_journal(files)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MAX_MEMORY_BYTES
