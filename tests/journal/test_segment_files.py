"""Test that the files of a journal are begun, rotated, continued and deleted."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from journal.fsync import FsyncPolicy
from journal.segment_files import SegmentFiles, name_of, number_of, sync_folder
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

MakeFiles = Callable[..., SegmentFiles]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeFiles]:
    """Return a function that makes the files of a session `a.b`."""
    with ExitStack() as leaving:

        def made(keep: int = 0, sync: FsyncPolicy = FsyncPolicy.NEVER) -> SegmentFiles:
            files = SegmentFiles(tmp_path, "a.b", sync=sync, keep=keep)
            leaving.callback(files.close)
            return files

        yield made


def test_a_file_begins_with_a_snapshot_and_keeps_the_order(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    for entry in (OPENED, sounding(100, 1), sounding(100, 2)):
        files.write(entry)
    files.flush(sync=False)
    assert seeds(kept(tmp_path, "a.b")) == [1, 2]
    assert files_in(tmp_path) == ["a.b.1.journal"]
    assert files.size == files.newest == bytes_in(tmp_path)


def test_nothing_is_written_before_a_snapshot(make: MakeFiles, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="begins with a snapshot"):
        make().write(sounding(100))
    assert files_in(tmp_path) == []


def test_only_the_owner_may_read_a_file(make: MakeFiles, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make().write(OPENED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.b.1.journal").stat().st_mode) == 0o600


@pytest.mark.parametrize("sync", FsyncPolicy)
def test_older_files_beyond_the_limit_are_deleted(make: MakeFiles, tmp_path: Path, sync: FsyncPolicy) -> None:
    files = make(keep=10_000, sync=sync)
    for n in range(6):
        files.write(OPENED)
        if sync is FsyncPolicy.SECOND:
            files.synced(files.number)
        files.write(sounding(2_000))  # about 4 kB
        assert files_in(tmp_path) == [f"a.b.{each}.journal" for each in range(max(1, n - 1), n + 2)]
        files.flush(sync is not FsyncPolicy.NEVER)
        assert files.size == bytes_in(tmp_path)
    assert 4_000 < files.newest < 5_000


def test_older_files_stay_until_the_newest_is_synced(make: MakeFiles, tmp_path: Path) -> None:
    files = make(sync=FsyncPolicy.SECOND)
    for _ in range(3):
        files.write(OPENED)
        files.write(sounding(100))
    files.synced(2)  # a round that started before the newest was begun
    assert len(files_in(tmp_path)) == 3
    files.synced(3)
    assert files_in(tmp_path) == ["a.b.3.journal"]
    assert files.size == bytes_in(tmp_path)


def test_without_a_limit_only_the_newest_file_stays(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    for _ in range(3):
        files.write(OPENED)
        files.write(sounding(100))
    assert files_in(tmp_path) == ["a.b.3.journal"]


def test_the_older_file_stays_until_the_newest_is_complete(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    files.write(OPENED)
    files.write(sounding(100, 7))
    with full_disk(10_000), pytest.raises(OSError, match="too large"):
        files.write(opened_after(sounding(16_000)))
    assert files_in(tmp_path) == ["a.b.1.journal", "a.b.2.journal"]
    assert seeds(kept(tmp_path, "a.b")) == [7]


def test_a_buffered_snapshot_that_cannot_be_written_deletes_nothing(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    files.write(OPENED)
    files.write(sounding(100, 7))
    files.flush(sync=False)
    with full_disk(10), pytest.raises(OSError, match="too large"):
        files.write(OPENED)  # small enough for the buffer of the file
    assert seeds(kept(tmp_path, "a.b")) == [7]
    files.delete()
    assert files_in(tmp_path) == []


def test_an_existing_file_is_not_overwritten(make: MakeFiles, tmp_path: Path) -> None:
    (tmp_path / "a.b.1.journal").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        make().write(OPENED)
    assert (tmp_path / "a.b.1.journal").read_bytes() == b"theirs"


def test_adopted_files_continue_after_the_undamaged_part(make: MakeFiles, tmp_path: Path) -> None:
    first = make(keep=10_000)
    for entry in (OPENED, sounding(100, 1), OPENED, sounding(100, 2)):
        first.write(entry)
    first.close()
    newest = tmp_path / "a.b.2.journal"
    with newest.open("ab") as file:
        file.write(b"torn")
    past = kept(tmp_path, "a.b")
    assert past is not None
    second = make(keep=10_000)
    second.adopt([tmp_path / "a.b.1.journal", newest], past.intact)
    assert second.size == bytes_in(tmp_path)
    second.write(sounding(100, 3))
    second.close()
    assert seeds(kept(tmp_path, "a.b")) == [2, 3]
    assert (second.newest, second.size) == (newest.stat().st_size, bytes_in(tmp_path))


def test_the_file_after_the_adopted_ones_gets_the_next_number(make: MakeFiles, tmp_path: Path) -> None:
    first = make()
    first.write(OPENED)
    first.close()
    second = make()
    second.adopt([tmp_path / "a.b.1.journal"], first.newest)
    second.write(OPENED)
    assert files_in(tmp_path) == ["a.b.2.journal"]
    assert second.size == second.newest


def test_delete_removes_all_files(make: MakeFiles, tmp_path: Path) -> None:
    files = make(keep=10_000)
    for _ in range(3):
        files.write(OPENED)
    (tmp_path / "c.1.journal").write_bytes(b"another's")
    files.delete()
    files.delete()
    assert files_in(tmp_path) == ["c.1.journal"]
    assert (files.size, files.newest) == (0, 0)


def test_files_that_never_began_can_be_closed_and_deleted(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    files.flush(sync=True)
    files.close()
    files.delete()
    assert files_in(tmp_path) == []


def test_a_file_that_is_already_deleted_raises_nothing(make: MakeFiles, tmp_path: Path) -> None:
    files = make(keep=10_000)
    files.write(OPENED)
    files.write(OPENED)
    for name in files_in(tmp_path):
        (tmp_path / name).unlink()
    files.delete()


@pytest.mark.parametrize(
    ("file", "name", "number"), [("5f1c.1.journal", "5f1c", 1), ("a.b.3.12.journal", "a.b.3", 12)]
)
def test_a_file_name_holds_session_and_number(file: str, name: str, number: int) -> None:
    assert (name_of(Path("x.y", file)), number_of(Path("x.y", file))) == (name, number)


@pytest.mark.parametrize("file", ["lock", "5f1c.journal", "5f1c.new.journal"])
def test_another_file_has_no_number(file: str) -> None:
    with pytest.raises(ValueError, match="int"):
        number_of(Path(file))


def test_a_folder_can_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
