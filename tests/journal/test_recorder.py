"""What is kept of a session on disk, and when a new file is due."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import Clip
from engine.health import Health
from journal.recorder import LONG_ENOUGH, MOST_UNWRITTEN, TOO_LONG, JournalRecorder, NullRecorder
from journal.records import REPLY, AudioRecord, CommandRecord, EndRecord, quantize_pcm16
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from streaming.events import FinalTranscript, MarkerReached, PartialTranscript
from tests.server.journal_helpers import OPENED, files_in, full_disk, kept, sounding
from tests.waiting import until
from vad.segmenter import Reason

UPDATED = {"type": "session.updated", "session": {}}


@contextmanager
def recording(folder: Path) -> Iterator[tuple[JournalRecorder, SessionJournal]]:
    with JournalStore(folder, Health()) as disk:
        log = disk.open("5f1c")
        kept_there = JournalRecorder(log)
        kept_there.open(OPENED.head, OPENED.number, OPENED.snapshot)
        yield kept_there, log


def found(folder: Path) -> ReplayedSession:
    past = kept(folder, "5f1c")
    assert past is not None
    return past


async def test_what_comes_in_is_kept_as_it_is_heard(tmp_path: Path) -> None:
    clip = Clip(np.array([0.1, 0.2, 0.3], np.float32), 0)
    with recording(tmp_path) as (kept_there, _):
        heard = kept_there.sound(clip)
        kept_there.command('{"type": "marker"}')
        kept_there.refuse()
        kept_there.end(Reason.DISCONNECT)
        await kept_there.come_back()
        past = found(tmp_path)
    sound, command, ended = past.tail
    assert isinstance(sound, AudioRecord)
    np.testing.assert_array_equal(sound.samples, heard.samples)
    assert not np.array_equal(heard.samples, clip.samples)
    assert (command, ended) == (CommandRecord('{"type": "marker"}'), EndRecord(Reason.DISCONNECT))
    assert past.refused == 1


async def test_what_is_played_once_more_is_not_kept_twice_and_sounds_the_same(tmp_path: Path) -> None:
    with recording(tmp_path) as (kept_there, _):
        kept_there.replaying = True
        clip = Clip(np.array([0.1], np.float32), 0)
        np.testing.assert_array_equal(kept_there.sound(clip).samples, quantize_pcm16(clip.samples).samples)
        kept_there.command("{}")
        kept_there.refuse()
        kept_there.end(Reason.DISCONNECT)
        kept_there.tell(MarkerReached("m"), [{"type": "marker", "seq": 1}])
        await kept_there.safe()
        past = found(tmp_path)
    assert (past.tail, past.refused) == ([], 0)
    assert past.sent == {"MarkerReached": 1}  # what is told meanwhile is told for the first time


async def test_only_replies_that_a_replay_gives_again_are_counted(tmp_path: Path) -> None:
    with recording(tmp_path) as (kept_there, _):
        kept_there.reply([UPDATED])
        kept_there.reply([])
        kept_there.complain([{"type": "error"}])
        kept_there.complain([])
        await kept_there.safe()
        past = found(tmp_path)
    assert past.sent == {REPLY: 1}
    assert [message["type"] for message, _ in past.messages] == [
        "session.updated",
        "error",
    ]


async def test_what_nobody_waits_for_is_written_all_the_same(tmp_path: Path) -> None:
    with recording(tmp_path) as (kept_there, log):
        kept_there.sound(Clip(np.zeros(100, np.float32), 0))
        kept_there.write()
        await until(lambda: log.unwritten == 0)
        assert len(found(tmp_path).tail) == 1


async def test_what_is_told_of_an_utterance_is_known_to_who_goes_on(tmp_path: Path) -> None:
    clip = Clip(np.zeros(100, np.float32), 0)
    with recording(tmp_path) as (kept_there, _):
        kept_there.sound(clip)
        kept_there.tell(PartialTranscript(2, 0, "how are", 4), [{"seq": 1}])
        kept_there.tell(
            FinalTranscript(1, clip, Reason.SILENCE, Hypothesis("good")), [{"seq": 2, "audio": "AAAA"}]
        )
        await kept_there.safe()
        past = found(tmp_path)
    assert list(past.begun.promised) == [2]
    assert list(past.begun.concluded) == [1]
    assert past.sent == {"Final": 1}
    (_, none), (message, sound) = past.messages
    assert (none, message) == (None, {"seq": 2, "audio": None})
    assert sound is not None
    assert len(sound) == 100


async def test_a_new_file_is_due_in_a_pause_first_and_wherever_it_can_begin_later(tmp_path: Path) -> None:
    with recording(tmp_path) as (kept_there, log):
        await kept_there.safe()
        assert not kept_there.is_due(speaking=False)
        log.append(sounding(LONG_ENOUGH // 2 - 2_000))
        await kept_there.safe()
        assert not kept_there.is_due(speaking=False)
        log.append(sounding(2_000))
        await kept_there.safe()
        assert not kept_there.is_due(speaking=True)
        kept_there.replaying = True
        assert not kept_there.is_due(speaking=False)
        kept_there.replaying = False
        assert kept_there.is_due(speaking=False)
        assert not kept_there.is_due(speaking=False)  # asked for already
        kept_there.open(OPENED.head, OPENED.number, OPENED.snapshot)
        assert not kept_there.is_due(speaking=False)  # it is about to be written
        await kept_there.safe()
        assert not kept_there.is_due(speaking=False)
        log.append(sounding(TOO_LONG // 2))
        await kept_there.safe()
        assert kept_there.is_due(speaking=True)


async def test_there_is_no_room_while_too_much_sound_waits_for_the_disk(tmp_path: Path) -> None:
    with recording(tmp_path) as (kept_there, _):
        clip = sounding(MOST_UNWRITTEN // 8)
        for start in (0, len(clip.samples)):
            assert kept_there.has_room
            kept_there.sound(Clip(clip.samples, start))
        assert not kept_there.has_room
        await kept_there.safe()
        assert kept_there.has_room


async def test_without_its_journal_a_session_goes_on_and_does_not_last(tmp_path: Path) -> None:
    with full_disk(50_000), recording(tmp_path) as (kept_there, log):
        assert kept_there.lasts
        kept_there.sound(Clip(sounding(MOST_UNWRITTEN // 4).samples, 0))
        await kept_there.safe()
        assert not kept_there.lasts
        assert not kept_there.is_due(speaking=False)
        kept_there.sound(Clip(sounding(MOST_UNWRITTEN // 4).samples, 0))
        assert kept_there.has_room  # nobody waits for a disk that failed
        await kept_there.safe()
        assert log.lost


async def test_a_session_that_is_over_leaves_nothing_and_one_that_is_closed_leaves_all(
    tmp_path: Path,
) -> None:
    with recording(tmp_path / "over") as (over, _), recording(tmp_path / "closed") as (closed, _):
        over.sound(Clip(sounding(100).samples, 0))
        over.delete()
        closed.sound(Clip(sounding(100).samples, 0))
        await closed.close()
        assert not over.lasts
    assert files_in(tmp_path / "over") == []
    assert len(found(tmp_path / "closed").tail) == 1


async def test_a_session_that_nobody_can_take_up_is_heard_as_it_came_and_lasts_no_longer() -> None:
    nothing, clip = NullRecorder(), Clip(np.array([0.1], np.float32), 0)
    assert nothing.sound(clip) is clip
    assert not nothing.lasts
    assert not nothing.is_due(speaking=False)
    assert nothing.has_room
    await nothing.safe()
