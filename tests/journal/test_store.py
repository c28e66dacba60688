"""The disk: what is safe is on it, in order; and when it fails, that is loud and over some day."""

import asyncio
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from engine.health import Health
from journal.fsync import FsyncPolicy
from journal.records import OutputRecord
from journal.store import TROUBLE, JournalInUse, JournalStore
from tests.server.journal_helpers import (
    OPENED,
    bytes_in,
    files_in,
    full_disk,
    kept,
    opened_after,
    seeds,
    sounding,
)
from tests.waiting import until

HOUR = 3600.0


async def test_what_is_safe_is_on_the_disk(tmp_path: Path) -> None:
    with JournalStore(tmp_path / "new" / "journals", Health()) as disk:
        log = disk.open("5f1c")
        for entry in (OPENED, sounding(100, 1), OutputRecord("Final", [{"seq": 1}]), sounding(100, 2)):
            log.append(entry)
        await log.safe()
        past = kept(disk.folder, "5f1c")
        assert past is not None
        assert seeds(past) == [1, 2]
        assert past.told == {"Final": 1}
        assert disk.size == log.size == bytes_in(disk.folder)
        assert not log.lost
        assert stat.S_IMODE(disk.folder.stat().st_mode) == 0o700


async def test_what_is_handed_over_is_written_though_nobody_waits_for_it(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        log = disk.open("5f1c")
        log.append(OPENED)
        for number in (1, 2):
            log.append(sounding(100, number))
            assert log.unwritten == 400
            log.hand_over()
            await until(lambda: log.unwritten == 0)
            assert seeds(kept(tmp_path, "5f1c")) == list(range(1, number + 1))


async def test_the_sound_of_several_sessions_is_written_together(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        logs = [disk.open(name) for name in "abc"]
        for log in logs:
            log.append(OPENED)
            log.append(sounding(100))
            log.hand_over()
        await logs[0].safe()  # they were there before it asked
        assert [log.unwritten for log in logs] == [0, 0, 0]
        assert len(files_in(tmp_path)) == 3


async def test_who_waits_for_his_own_has_nothing_of_others_written_before_its_time(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        hurried, patient = disk.open("hurried"), disk.open("patient")
        for log in (hurried, patient):
            log.append(OPENED)
        await asyncio.gather(hurried.safe(), patient.safe())
        for log in (patient, hurried):
            log.append(sounding(100, 1))
        await hurried.safe()
        assert (seeds(kept(tmp_path, "hurried")), seeds(kept(tmp_path, "patient"))) == ([1], [])
        await patient.safe()
        assert seeds(kept(tmp_path, "patient")) == [1]


async def test_what_several_sessions_write_stays_in_the_order_of_each(tmp_path: Path) -> None:
    order: list[int] = []
    with JournalStore(tmp_path, Health()) as disk:
        logs = [disk.open(f"session.{n}") for n in range(5)]

        async def write(number: int) -> None:
            logs[number].append(OPENED)
            for n in range(20):
                logs[number].append(sounding(100, n))
                if n % (number + 2) == 0:
                    await logs[number].safe()
                    assert seeds(kept(tmp_path, logs[number].name)) == list(range(n + 1))
            await logs[number].safe()
            order.append(number)

        await asyncio.gather(*map(write, range(5)))
        for log in logs:
            assert seeds(kept(tmp_path, log.name)) == list(range(20))
    assert sorted(order) == list(range(5))


async def test_what_comes_behind_the_end_is_not_kept_and_costs_nobody_anything(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        closed, deleted, other = disk.open("closed"), disk.open("deleted"), disk.open("other")
        for log in (closed, deleted, other):
            log.append(OPENED)
        closed.close()
        deleted.delete()
        for log in (closed, deleted, other):
            log.append(sounding(100, 3))
            await log.safe()
        assert (seeds(kept(tmp_path, "closed")), seeds(kept(tmp_path, "other"))) == ([], [3])
        assert [log.unwritten for log in (closed, deleted, other)] == [0, 0, 0]


async def test_what_was_handed_over_is_written_before_the_server_ends(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        closed, running = disk.open("closed"), disk.open("running")
        for log in (closed, running):
            log.append(OPENED)
            log.append(sounding(100, 3))
        closed.close()
        running.hand_over()
    for name in ("closed", "running"):
        assert seeds(kept(tmp_path, name)) == [3]


@pytest.mark.parametrize("sync", list(FsyncPolicy))
async def test_however_often_it_is_synced_the_order_is_kept(tmp_path: Path, sync: FsyncPolicy) -> None:
    with JournalStore(tmp_path, Health(), sync=sync) as disk:
        logs = [disk.open(name) for name in "ab"]
        for log in logs:
            log.append(OPENED)
        for number in range(10):
            for log in logs:
                log.append(sounding(100, number))
            await logs[number % 2].safe()
        logs[0].append(OPENED)  # a new file, which is synced before the one before it goes
        await logs[0].safe()
        await until(lambda: files_in(tmp_path) == ["a.2.journal", "b.1.journal"])
    assert seeds(kept(tmp_path, "b")) == list(range(10))


async def test_a_folder_belongs_to_one_server_at_a_time(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as first:
        with pytest.raises(JournalInUse, match="another server"), JournalStore(tmp_path, Health()):
            pass
        log = first.open("5f1c")
        log.append(OPENED)
        await log.safe()
    with JournalStore(tmp_path, Health()) as second:
        assert list(second.found(HOUR)) == ["5f1c"]


async def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"), JournalStore(tmp_path / "file", Health()):
        pass


# A disk that is full


async def test_a_journal_that_cannot_be_written_is_lost_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    health = Health()
    with JournalStore(tmp_path, health) as disk:
        big, small = disk.open("big"), disk.open("small")
        for log in (big, small):
            log.append(OPENED)
            await log.safe()
        with full_disk(10_000):
            big.append(sounding(20_000))
            small.append(sounding(100, 1))
            await big.safe()
            await small.safe()
            assert big.lost
            await until(lambda: "too large" in health.problems[TROUBLE].reason)
            assert not health.ok
            assert not disk.has_room
            assert files_in(tmp_path) == ["small.1.journal"]
            assert disk.size == bytes_in(tmp_path)
        assert "the journal of big is lost" in caplog.text
        assert not small.lost
        assert seeds(kept(tmp_path, "small")) == [1]


async def test_the_trouble_is_over_once_there_is_room_again(tmp_path: Path) -> None:
    health = Health()
    with JournalStore(tmp_path, health) as disk:
        lost, other = disk.open("lost"), disk.open("other")
        with full_disk(10_000):
            lost.append(opened_after(sounding(20_000)))
            await lost.safe()
            await other.safe()
            assert TROUBLE in health.problems
        other.append(OPENED)
        await other.safe()
        await until(lambda: health.ok)
        assert disk.has_room
        assert not (tmp_path / "probe").exists()
        lost.append(OPENED)  # has a gap: it stays lost
        lost.append(sounding(100))
        await lost.safe()
        assert files_in(tmp_path) == ["other.1.journal"]
        assert lost.unwritten == 0


async def test_what_fails_only_when_it_leaves_the_buffer_is_lost_as_well(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        log = disk.open("5f1c")
        with full_disk(10):
            log.append(OPENED)
            await log.safe()
            assert log.lost
            assert files_in(tmp_path) == []
            assert disk.size == 0


async def test_a_file_that_cannot_be_made_loses_the_journal_and_nothing_of_others(tmp_path: Path) -> None:
    health = Health()
    with JournalStore(tmp_path, health) as disk:
        (tmp_path / "5f1c.1.journal").mkdir()
        log, other = disk.open("5f1c"), disk.open("other")
        log.append(OPENED)
        other.append(OPENED)
        await asyncio.gather(log.safe(), other.safe())
        assert (log.lost, other.lost) == (True, False)
        assert disk.size == other.size


@pytest.mark.slow
async def test_a_client_does_not_wait_for_ever_for_a_disk_that_hangs(tmp_path: Path) -> None:
    health, gate = Health(), threading.Event()
    with JournalStore(tmp_path, health) as disk:

        def hang() -> None:
            gate.wait()

        disk.do(hang)
        log = disk.open("5f1c")
        log.append(OPENED)
        await log.safe()
        assert log.lost
        assert "has not answered" in health.problems[TROUBLE].reason
        gate.set()
    assert files_in(tmp_path) == []


# What was left behind


def left(folder: Path, name: str, age: float = 0.0) -> Path:
    path = folder / name
    path.write_bytes(b"12345")
    os.utime(path, (time.time() - age,) * 2)
    return path


async def test_what_was_left_behind_is_found_session_by_session_oldest_file_first(tmp_path: Path) -> None:
    names = ["a.b.9.journal", "a.b.10.journal", "a.b.11.journal", "c.1.journal"]
    files = [left(tmp_path, name) for name in names]
    for other in ("notes.txt", "c.journal", "c.new.journal", "c.1.journal.bak"):
        left(tmp_path, other)
    with JournalStore(tmp_path, Health()) as disk:
        assert disk.found(HOUR) == {"a.b": files[:3], "c": files[3:]}


async def test_what_has_expired_is_deleted_and_not_found(tmp_path: Path) -> None:
    left(tmp_path, "old.1.journal", 2 * HOUR)
    left(tmp_path, "old.2.journal", 1.5 * HOUR)
    young = [left(tmp_path, "young.1.journal", 2 * HOUR), left(tmp_path, "young.2.journal", HOUR / 2)]
    with JournalStore(tmp_path, Health()) as disk:
        assert disk.size == 20
        assert disk.found(HOUR) == {"young": young}
        assert disk.size == 10
    assert files_in(tmp_path) == ["young.1.journal", "young.2.journal"]


async def test_files_that_nobody_has_opened_are_deleted_and_what_cannot_be_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, gone = left(tmp_path, "a.1.journal"), tmp_path / "a.2.journal"
    with JournalStore(tmp_path, Health()) as disk:
        before = disk.size
        size = one.stat().st_size
        disk.delete([gone, one])
        await until(lambda: not one.exists())
    assert disk.size == before - size
    assert "a.2.journal" in caplog.text


async def test_what_this_server_has_begun_itself_is_not_found(tmp_path: Path) -> None:
    left(tmp_path, "theirs.1.journal")
    with JournalStore(tmp_path, Health()) as disk:
        log = disk.open("ours")
        log.append(OPENED)
        await log.safe()
        assert list(disk.found(HOUR)) == ["theirs"]


async def test_sizes_add_up_through_rotation_torn_tails_and_deletion(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health(), keep=10_000) as disk:
        logs = [disk.open(name) for name in "abc"]
        for _ in range(6):
            for log in logs:
                log.append(OPENED)
                log.append(sounding(2_000))
        await asyncio.gather(*(log.safe() for log in logs))
        assert disk.size == bytes_in(tmp_path)
        logs[0].delete()
        await logs[1].safe()
        assert disk.size == bytes_in(tmp_path) > 0
    with (tmp_path / "b.6.journal").open("ab") as file:
        file.write(b"torn")
    with JournalStore(tmp_path, Health(), keep=10_000) as disk:
        assert disk.size == bytes_in(tmp_path)
        for name, files in disk.found(HOUR).items():
            past = kept(tmp_path, name)
            assert past is not None
            log = disk.open(name)
            log.adopt(files, past.intact)
            assert disk.size == bytes_in(tmp_path)
            log.append(sounding(100))
            await log.safe()
            assert disk.size == bytes_in(tmp_path)
            log.delete()
            await log.safe()
        assert disk.size == bytes_in(tmp_path) == 0


async def test_there_is_room_up_to_a_bound_on_all_journals_together(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health(), most=4_000) as disk:
        logs = [disk.open(name) for name in "ab"]
        for log, has_room in zip(logs, (True, False), strict=True):
            log.append(OPENED)
            log.append(sounding(1_000))
            await log.safe()
            assert disk.has_room == has_room
        logs[0].delete()
        await logs[0].safe()
        assert disk.has_room
