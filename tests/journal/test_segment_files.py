"""The files of one session's journal: begun whole, rotated, taken up again, and gone."""

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
    """Makes the files of a session `a.b`."""
    with ExitStack() as leaving:

        def made(keep: int = 0, sync: FsyncPolicy = FsyncPolicy.NEVER) -> SegmentFiles:
            files = SegmentFiles(tmp_path, "a.b", sync=sync, keep=keep)
            leaving.callback(files.close)
            return files

        yield made


def test_a_file_begins_with_the_session_and_holds_what_came_in_order(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    for entry in (OPENED, sounding(100, 1), sounding(100, 2)):
        files.write(entry)
    files.flush(sync=False)
    assert seeds(kept(tmp_path, "a.b")) == [1, 2]
    assert files_in(tmp_path) == ["a.b.1.journal"]
    assert files.size == files.newest == bytes_in(tmp_path)


def test_nothing_is_written_before_a_beginning(make: MakeFiles, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="begins with Opened"):
        make().write(sounding(100))
    assert files_in(tmp_path) == []


def test_nobody_else_may_read_what_was_said(make: MakeFiles, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make().write(OPENED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.b.1.journal").stat().st_mode) == 0o600


@pytest.mark.parametrize("sync", FsyncPolicy)
def test_older_files_go_once_they_are_more_than_what_is_kept(
    make: MakeFiles, tmp_path: Path, sync: FsyncPolicy
) -> None:
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


def test_by_the_second_older_files_stay_until_the_newest_is_synced(make: MakeFiles, tmp_path: Path) -> None:
    files = make(sync=FsyncPolicy.SECOND)
    for _ in range(3):
        files.write(OPENED)
        files.write(sounding(100))
    files.synced(2)  # of a round before the newest was begun
    assert len(files_in(tmp_path)) == 3
    files.synced(3)
    assert files_in(tmp_path) == ["a.b.3.journal"]
    assert files.size == bytes_in(tmp_path)


def test_where_nothing_is_kept_only_the_newest_is_there(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    for _ in range(3):
        files.write(OPENED)
        files.write(sounding(100))
    assert files_in(tmp_path) == ["a.b.3.journal"]


def test_the_file_before_stays_until_the_newest_is_whole(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    files.write(OPENED)
    files.write(sounding(100, 7))
    with full_disk(10_000), pytest.raises(OSError, match="too large"):
        files.write(opened_after(sounding(16_000)))
    assert files_in(tmp_path) == ["a.b.1.journal", "a.b.2.journal"]
    assert seeds(kept(tmp_path, "a.b")) == [7]


def test_a_small_beginning_that_did_not_reach_the_disk_lets_nothing_go(
    make: MakeFiles, tmp_path: Path
) -> None:
    files = make()
    files.write(OPENED)
    files.write(sounding(100, 7))
    files.flush(sync=False)
    with full_disk(10), pytest.raises(OSError, match="too large"):
        files.write(OPENED)  # which fits into the file's buffer
    assert seeds(kept(tmp_path, "a.b")) == [7]
    files.delete()
    assert files_in(tmp_path) == []


def test_a_file_of_another_is_not_written_over(make: MakeFiles, tmp_path: Path) -> None:
    (tmp_path / "a.b.1.journal").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        make().write(OPENED)
    assert (tmp_path / "a.b.1.journal").read_bytes() == b"theirs"


def test_who_takes_files_up_goes_on_behind_what_is_whole(make: MakeFiles, tmp_path: Path) -> None:
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


def test_the_next_file_after_those_taken_up_has_a_number_of_its_own(make: MakeFiles, tmp_path: Path) -> None:
    first = make()
    first.write(OPENED)
    first.close()
    second = make()
    second.adopt([tmp_path / "a.b.1.journal"], first.newest)
    second.write(OPENED)
    assert files_in(tmp_path) == ["a.b.2.journal"]
    assert second.size == second.newest


def test_after_a_deletion_nothing_is_left(make: MakeFiles, tmp_path: Path) -> None:
    files = make(keep=10_000)
    for _ in range(3):
        files.write(OPENED)
    (tmp_path / "c.1.journal").write_bytes(b"another's")
    files.delete()
    files.delete()
    assert files_in(tmp_path) == ["c.1.journal"]
    assert (files.size, files.newest) == (0, 0)


def test_one_that_never_began_can_be_closed_and_deleted(make: MakeFiles, tmp_path: Path) -> None:
    files = make()
    files.flush(sync=True)
    files.close()
    files.delete()
    assert files_in(tmp_path) == []


def test_a_file_that_somebody_else_deleted_is_no_trouble(make: MakeFiles, tmp_path: Path) -> None:
    files = make(keep=10_000)
    files.write(OPENED)
    files.write(OPENED)
    for name in files_in(tmp_path):
        (tmp_path / name).unlink()
    files.delete()


@pytest.mark.parametrize(
    ("file", "name", "number"), [("5f1c.1.journal", "5f1c", 1), ("a.b.3.12.journal", "a.b.3", 12)]
)
def test_a_files_name_says_whose_it_is_and_which(file: str, name: str, number: int) -> None:
    assert (name_of(Path("x.y", file)), number_of(Path("x.y", file))) == (name, number)


@pytest.mark.parametrize("file", ["lock", "5f1c.journal", "5f1c.new.journal"])
def test_another_file_has_no_number(file: str) -> None:
    with pytest.raises(ValueError, match="int"):
        number_of(Path(file))


def test_a_folder_can_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
