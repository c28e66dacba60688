"""Test that flushed records are on disk in order, and that a failing disk is reported."""

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
from journal.store import PROBLEM, JournalInUse, JournalStore
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


async def test_flushed_records_are_on_the_disk(tmp_path: Path) -> None:
    with JournalStore(tmp_path / "new" / "journals", Health()) as disk:
        log = disk.open("5f1c")
        for entry in (OPENED, sounding(100, 1), OutputRecord("Final", [{"seq": 1}]), sounding(100, 2)):
            log.append(entry)
        await log.flush()
        past = kept(disk.folder, "5f1c")
        assert past is not None
        assert seeds(past) == [1, 2]
        assert past.sent == {"Final": 1}
        assert disk.size == log.size == bytes_in(disk.folder)
        assert not log.lost
        assert stat.S_IMODE(disk.folder.stat().st_mode) == 0o700


async def test_submitted_records_are_written_without_a_flush(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        log = disk.open("5f1c")
        log.append(OPENED)
        for number in (1, 2):
            log.append(sounding(100, number))
            assert log.unwritten == 400
            log.submit()
            await until(lambda: log.unwritten == 0)
            assert seeds(kept(tmp_path, "5f1c")) == list(range(1, number + 1))


async def test_one_flush_writes_all_submitted_sessions(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        logs = [disk.open(name) for name in "abc"]
        for log in logs:
            log.append(OPENED)
            log.append(sounding(100))
            log.submit()
        await logs[0].flush()  # the others were submitted earlier
        assert [log.unwritten for log in logs] == [0, 0, 0]
        assert len(files_in(tmp_path)) == 3


async def test_a_flush_writes_no_records_of_other_sessions(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        first, second = disk.open("first"), disk.open("second")
        for log in (first, second):
            log.append(OPENED)
        await asyncio.gather(first.flush(), second.flush())
        for log in (second, first):
            log.append(sounding(100, 1))
        await first.flush()
        assert (seeds(kept(tmp_path, "first")), seeds(kept(tmp_path, "second"))) == ([1], [])
        await second.flush()
        assert seeds(kept(tmp_path, "second")) == [1]


async def test_records_of_each_session_stay_in_order(tmp_path: Path) -> None:
    order: list[int] = []
    with JournalStore(tmp_path, Health()) as disk:
        logs = [disk.open(f"session.{n}") for n in range(5)]

        async def write(number: int) -> None:
            logs[number].append(OPENED)
            for n in range(20):
                logs[number].append(sounding(100, n))
                if n % (number + 2) == 0:
                    await logs[number].flush()
                    assert seeds(kept(tmp_path, logs[number].name)) == list(range(n + 1))
            await logs[number].flush()
            order.append(number)

        await asyncio.gather(*map(write, range(5)))
        for log in logs:
            assert seeds(kept(tmp_path, log.name)) == list(range(20))
    assert sorted(order) == list(range(5))


async def test_records_after_the_end_are_ignored(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        closed, deleted, other = disk.open("closed"), disk.open("deleted"), disk.open("other")
        for log in (closed, deleted, other):
            log.append(OPENED)
        closed.close()
        deleted.delete()
        for log in (closed, deleted, other):
            log.append(sounding(100, 3))
            await log.flush()
        assert (seeds(kept(tmp_path, "closed")), seeds(kept(tmp_path, "other"))) == ([], [3])
        assert [log.unwritten for log in (closed, deleted, other)] == [0, 0, 0]


async def test_submitted_records_are_written_before_the_store_closes(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        closed, running = disk.open("closed"), disk.open("running")
        for log in (closed, running):
            log.append(OPENED)
            log.append(sounding(100, 3))
        closed.close()
        running.submit()
    for name in ("closed", "running"):
        assert seeds(kept(tmp_path, name)) == [3]


@pytest.mark.parametrize("sync", list(FsyncPolicy))
async def test_every_fsync_policy_keeps_the_order(tmp_path: Path, sync: FsyncPolicy) -> None:
    with JournalStore(tmp_path, Health(), sync=sync) as disk:
        logs = [disk.open(name) for name in "ab"]
        for log in logs:
            log.append(OPENED)
        for number in range(10):
            for log in logs:
                log.append(sounding(100, number))
            await logs[number % 2].flush()
        logs[0].append(OPENED)  # a new file, which is synced before the older one is deleted
        await logs[0].flush()
        await until(lambda: files_in(tmp_path) == ["a.2.journal", "b.1.journal"])
    assert seeds(kept(tmp_path, "b")) == list(range(10))


async def test_a_folder_belongs_to_one_server_at_a_time(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as first:
        with pytest.raises(JournalInUse, match="another server"), JournalStore(tmp_path, Health()):
            pass
        log = first.open("5f1c")
        log.append(OPENED)
        await log.flush()
    with JournalStore(tmp_path, Health()) as second:
        assert list(second.find_sessions(HOUR)) == ["5f1c"]


async def test_a_folder_that_cannot_be_created_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"), JournalStore(tmp_path / "file", Health()):
        pass


# A disk that is full


async def test_a_journal_that_cannot_be_written_is_reported_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    health = Health()
    with JournalStore(tmp_path, health) as disk:
        big, small = disk.open("big"), disk.open("small")
        for log in (big, small):
            log.append(OPENED)
            await log.flush()
        with full_disk(10_000):
            big.append(sounding(20_000))
            small.append(sounding(100, 1))
            await big.flush()
            await small.flush()
            assert big.lost
            await until(lambda: "too large" in health.problems[PROBLEM].reason)
            assert not health.ok
            assert not disk.accepts_new
            assert files_in(tmp_path) == ["small.1.journal"]
            assert disk.size == bytes_in(tmp_path)
        assert "journal.lost session=big" in caplog.text
        assert not small.lost
        assert seeds(kept(tmp_path, "small")) == [1]


async def test_the_problem_is_resolved_once_the_disk_can_be_written(tmp_path: Path) -> None:
    health = Health()
    with JournalStore(tmp_path, health) as disk:
        lost, other = disk.open("lost"), disk.open("other")
        with full_disk(10_000):
            lost.append(opened_after(sounding(20_000)))
            await lost.flush()
            await other.flush()
            assert PROBLEM in health.problems
        other.append(OPENED)
        await other.flush()
        await until(lambda: health.ok)
        assert disk.accepts_new
        assert not (tmp_path / "probe").exists()
        lost.append(OPENED)  # has a gap: it stays lost
        lost.append(sounding(100))
        await lost.flush()
        assert files_in(tmp_path) == ["other.1.journal"]
        assert lost.unwritten == 0


async def test_a_write_that_fails_at_the_flush_loses_the_journal(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health()) as disk:
        log = disk.open("5f1c")
        with full_disk(10):
            log.append(OPENED)
            await log.flush()
            assert log.lost
            assert files_in(tmp_path) == []
            assert disk.size == 0


async def test_a_file_that_cannot_be_created_loses_one_journal_only(tmp_path: Path) -> None:
    health = Health()
    with JournalStore(tmp_path, health) as disk:
        (tmp_path / "5f1c.1.journal").mkdir()
        log, other = disk.open("5f1c"), disk.open("other")
        log.append(OPENED)
        other.append(OPENED)
        await asyncio.gather(log.flush(), other.flush())
        assert (log.lost, other.lost) == (True, False)
        assert disk.size == other.size


@pytest.mark.slow
async def test_a_flush_of_a_hanging_disk_times_out(tmp_path: Path) -> None:
    health, gate = Health(), threading.Event()
    with JournalStore(tmp_path, health) as disk:

        def hang() -> None:
            gate.wait()

        disk.do(hang)
        log = disk.open("5f1c")
        log.append(OPENED)
        await log.flush()
        assert log.lost
        assert "has not answered" in health.problems[PROBLEM].reason
        gate.set()
    assert files_in(tmp_path) == []


# Files of an earlier server


def left(folder: Path, name: str, age: float = 0.0) -> Path:
    path = folder / name
    path.write_bytes(b"12345")
    os.utime(path, (time.time() - age,) * 2)
    return path


async def test_files_are_found_by_session_oldest_first(tmp_path: Path) -> None:
    names = ["a.b.9.journal", "a.b.10.journal", "a.b.11.journal", "c.1.journal"]
    files = [left(tmp_path, name) for name in names]
    for other in ("notes.txt", "c.journal", "c.new.journal", "c.1.journal.bak"):
        left(tmp_path, other)
    with JournalStore(tmp_path, Health()) as disk:
        assert disk.find_sessions(HOUR) == {"a.b": files[:3], "c": files[3:]}


async def test_expired_files_are_deleted_and_not_found(tmp_path: Path) -> None:
    left(tmp_path, "old.1.journal", 2 * HOUR)
    left(tmp_path, "old.2.journal", 1.5 * HOUR)
    young = [left(tmp_path, "young.1.journal", 2 * HOUR), left(tmp_path, "young.2.journal", HOUR / 2)]
    with JournalStore(tmp_path, Health()) as disk:
        assert disk.size == 20
        assert disk.find_sessions(HOUR) == {"young": young}
        assert disk.size == 10
    assert files_in(tmp_path) == ["young.1.journal", "young.2.journal"]


async def test_deletion_logs_the_files_that_cannot_be_deleted(
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


async def test_files_of_this_store_are_not_found(tmp_path: Path) -> None:
    left(tmp_path, "theirs.1.journal")
    with JournalStore(tmp_path, Health()) as disk:
        log = disk.open("ours")
        log.append(OPENED)
        await log.flush()
        assert list(disk.find_sessions(HOUR)) == ["theirs"]


async def test_sizes_add_up_through_rotation_torn_tails_and_deletion(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health(), keep=10_000) as disk:
        logs = [disk.open(name) for name in "abc"]
        for _ in range(6):
            for log in logs:
                log.append(OPENED)
                log.append(sounding(2_000))
        await asyncio.gather(*(log.flush() for log in logs))
        assert disk.size == bytes_in(tmp_path)
        logs[0].delete()
        await logs[1].flush()
        assert disk.size == bytes_in(tmp_path) > 0
    with (tmp_path / "b.6.journal").open("ab") as file:
        file.write(b"torn")
    with JournalStore(tmp_path, Health(), keep=10_000) as disk:
        assert disk.size == bytes_in(tmp_path)
        for name, files in disk.find_sessions(HOUR).items():
            past = kept(tmp_path, name)
            assert past is not None
            log = disk.open(name)
            log.adopt(files, past.intact)
            assert disk.size == bytes_in(tmp_path)
            log.append(sounding(100))
            await log.flush()
            assert disk.size == bytes_in(tmp_path)
            log.delete()
            await log.flush()
        assert disk.size == bytes_in(tmp_path) == 0


async def test_new_journals_are_accepted_up_to_a_total_size(tmp_path: Path) -> None:
    with JournalStore(tmp_path, Health(), max_bytes=4_000) as disk:
        logs = [disk.open(name) for name in "ab"]
        for log, accepts_new in zip(logs, (True, False), strict=True):
            log.append(OPENED)
            log.append(sounding(1_000))
            await log.flush()
            assert disk.accepts_new == accepts_new
        logs[0].delete()
        await logs[0].flush()
        assert disk.accepts_new
