"""Test what the recorder writes, and when a new file is due."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import Clip
from engine.health import Health
from journal.recorder import (
    FORCED_SNAPSHOT_BYTES,
    MAX_UNWRITTEN_BYTES,
    PAUSE_SNAPSHOT_BYTES,
    JournalRecorder,
    RecordedStream,
)
from journal.records import REPLY, AudioRecord, CommandRecord, EndRecord, NoAudioRecord, quantize_pcm16
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from streaming.driver import StreamDriver
from streaming.events import FinalTranscript, MarkerReached, PartialTranscript
from streaming.options import SessionOptions
from tests.server.fakes import silent_models
from tests.server.journal_helpers import OPENED, files_in, full_disk, kept, sounding
from tests.waiting import until
from vad.segmenter import Reason

UPDATED = {"type": "session.updated", "session": {}}


@contextmanager
def recording(folder: Path, *, replaying: bool = False) -> Iterator[tuple[JournalRecorder, SessionJournal]]:
    with JournalStore(folder, Health()) as disk:
        log = disk.open("5f1c")
        recorder = JournalRecorder(log, replaying=replaying)
        recorder.snapshot(OPENED.head, OPENED.number, OPENED.snapshot)
        yield recorder, log


def found(folder: Path) -> ReplayedSession:
    past = kept(folder, "5f1c")
    assert past is not None
    return past


async def test_input_is_recorded_as_it_is_received(tmp_path: Path) -> None:
    clip = Clip(np.array([0.1, 0.2, 0.3], np.float32), 0)
    with recording(tmp_path) as (recorder, _):
        heard = recorder.audio(clip)
        recorder.command('{"type": "marker"}')
        recorder.refusal()
        recorder.no_audio()
        recorder.end(Reason.DISCONNECT)
        await recorder.reconnect()
        past = found(tmp_path)
    sound, command, paused, ended = past.tail
    assert paused == NoAudioRecord()
    assert isinstance(sound, AudioRecord)
    np.testing.assert_array_equal(sound.samples, heard.samples)
    assert not np.array_equal(heard.samples, clip.samples)
    assert (command, ended) == (CommandRecord('{"type": "marker"}'), EndRecord(Reason.DISCONNECT))
    assert past.refused == 1


async def test_replayed_input_is_not_recorded_again(tmp_path: Path) -> None:
    with recording(tmp_path, replaying=True) as (recorder, _):
        clip = Clip(np.array([0.1], np.float32), 0)
        np.testing.assert_array_equal(recorder.audio(clip).samples, quantize_pcm16(clip.samples).samples)
        recorder.command("{}")
        recorder.refusal()
        recorder.no_audio()
        recorder.end(Reason.DISCONNECT)
        recorder.output(MarkerReached("m"), [{"type": "marker", "seq": 1}])
        await recorder.flush()
        past = found(tmp_path)
    assert (past.tail, past.refused) == ([], 0)
    assert past.sent == {"MarkerReached": 1}  # events during a replay are new


async def test_only_replies_that_a_replay_gives_again_are_counted(tmp_path: Path) -> None:
    with recording(tmp_path) as (recorder, _):
        recorder.reply([UPDATED])
        recorder.reply([])
        recorder.unrepeatable([{"type": "error"}])
        recorder.unrepeatable([])
        await recorder.flush()
        past = found(tmp_path)
    assert past.sent == {REPLY: 1}
    assert [message["type"] for message, _ in past.messages] == [
        "session.updated",
        "error",
    ]


async def test_submitted_records_are_written_without_waiting(tmp_path: Path) -> None:
    with recording(tmp_path) as (recorder, log):
        recorder.audio(Clip(np.zeros(100, np.float32), 0))
        recorder.submit()
        await until(lambda: log.unwritten == 0)
        assert len(found(tmp_path).tail) == 1


async def test_results_and_stable_words_are_recorded(tmp_path: Path) -> None:
    clip = Clip(np.zeros(100, np.float32), 0)
    with recording(tmp_path) as (recorder, _):
        recorder.audio(clip)
        recorder.output(PartialTranscript(2, 0, "how are", 4), [{"seq": 1}])
        recorder.output(
            FinalTranscript(1, clip, Reason.SILENCE, Hypothesis("good")), [{"seq": 2, "audio": "AAAA"}]
        )
        await recorder.flush()
        past = found(tmp_path)
    assert list(past.begun.stable_words) == [2]
    assert list(past.begun.results) == [1]
    assert past.sent == {"Final": 1}
    (_, none), (message, sound) = past.messages
    assert (none, message) == (None, {"seq": 2, "audio": None})
    assert sound is not None
    assert len(sound) == 100


async def test_snapshot_is_due_in_a_pause_and_later_anywhere(tmp_path: Path) -> None:
    with recording(tmp_path) as (recorder, log):
        await recorder.flush()
        assert not recorder.is_snapshot_due(speaking=False)
        log.append(sounding(PAUSE_SNAPSHOT_BYTES // 2 - 2_000))
        await recorder.flush()
        assert not recorder.is_snapshot_due(speaking=False)
        log.append(sounding(2_000))
        await recorder.flush()
        assert not recorder.is_snapshot_due(speaking=True)
        restored = JournalRecorder(log, replaying=True)
        assert not restored.is_snapshot_due(speaking=False)
        restored.finish_replay()
        assert restored.is_snapshot_due(speaking=False)
        assert recorder.is_snapshot_due(speaking=False)
        assert not recorder.is_snapshot_due(speaking=False)  # already requested
        recorder.snapshot(OPENED.head, OPENED.number, OPENED.snapshot)
        assert not recorder.is_snapshot_due(speaking=False)  # it is about to be written
        await recorder.flush()
        assert not recorder.is_snapshot_due(speaking=False)
        log.append(sounding(FORCED_SNAPSHOT_BYTES // 2))
        await recorder.flush()
        assert recorder.is_snapshot_due(speaking=True)


async def test_recorder_has_no_capacity_while_the_disk_is_behind(tmp_path: Path) -> None:
    with recording(tmp_path) as (recorder, _):
        clip = sounding(MAX_UNWRITTEN_BYTES // 8)
        for start in (0, len(clip.samples)):
            assert recorder.has_capacity
            recorder.audio(Clip(clip.samples, start))
        assert not recorder.has_capacity
        await recorder.flush()
        assert recorder.has_capacity


async def test_session_continues_without_a_lost_journal(tmp_path: Path) -> None:
    with full_disk(50_000), recording(tmp_path) as (recorder, log):
        assert recorder.is_durable
        recorder.audio(Clip(sounding(MAX_UNWRITTEN_BYTES // 4).samples, 0))
        await recorder.flush()
        assert not recorder.is_durable
        assert not recorder.is_snapshot_due(speaking=False)
        recorder.audio(Clip(sounding(MAX_UNWRITTEN_BYTES // 4).samples, 0))
        assert recorder.has_capacity  # a failed disk is not waited for
        await recorder.flush()
        assert log.lost


async def test_delete_removes_the_journal_and_close_keeps_it(
    tmp_path: Path,
) -> None:
    with recording(tmp_path / "over") as (over, _), recording(tmp_path / "closed") as (closed, _):
        over.audio(Clip(sounding(100).samples, 0))
        over.delete()
        closed.audio(Clip(sounding(100).samples, 0))
        await closed.close()
        assert not over.is_durable
    assert files_in(tmp_path / "over") == []
    assert len(found(tmp_path / "closed").tail) == 1


async def test_recorded_stream_records_input_and_passes_it_on(tmp_path: Path) -> None:
    clip = Clip(np.array([0.1], np.float32), 0)
    with (
        recording(tmp_path) as (recorder, _),
        StreamDriver(silent_models(), SessionOptions()) as driver,
    ):
        stream = RecordedStream(driver, recorder)
        stream.receive_audio(clip)
        stream.mark("m")
        stream.end(Reason.DISCONNECT)
        stream.end(Reason.END_OF_STREAM)
        assert stream.received == driver.received == 1
        assert stream.input_ended
        np.testing.assert_array_equal(driver.session.audio.read(0, 1), quantize_pcm16(clip.samples).samples)
        await recorder.flush()
        past = found(tmp_path)
    sound, *rest = past.tail
    assert isinstance(sound, AudioRecord)
    assert rest[0] == EndRecord(Reason.DISCONNECT)
