"""Audio of jobs in a folder."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from jobs.audio_store import ORPHAN_SECONDS, PIECE, AudioStore


def test_saved_audio_is_named_by_its_content(tmp_path: Path) -> None:
    data = os.urandom(PIECE + 7)
    store = AudioStore(tmp_path)
    saved = store.save(io.BytesIO(data))
    assert saved.size == len(data)
    assert saved.key.startswith(hashlib.sha256(data).hexdigest())
    assert store.path(saved.key).read_bytes() == data


def test_copies_of_two_jobs_are_deleted_one_by_one(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    first, second = (store.save(io.BytesIO(b"sound")) for _ in range(2))
    store.delete(first.key)
    store.delete(first.key)
    assert not store.path(first.key).exists()
    assert store.path(second.key).read_bytes() == b"sound"


def test_only_the_user_of_the_server_can_read_audio(tmp_path: Path) -> None:
    folder = tmp_path / "audio"
    store = AudioStore(folder)
    path = store.path(store.save(io.BytesIO(b"sound")).key)
    assert [each.stat().st_mode & 0o777 for each in (folder, path.parent, path)] == [0o700, 0o700, 0o600]


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise OSError("the disk is gone")
        return super().read(4)


def test_failed_copy_leaves_nothing(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    with pytest.raises(OSError, match="gone"):
        store.save(Broken(b"sound and more"))
    assert list(tmp_path.rglob("*-*")) == []


def test_sweep_deletes_only_old_audio_without_a_job(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    used, orphan = store.save(io.BytesIO(b"used")), store.save(io.BytesIO(b"orphan"))
    (tmp_path / "incoming-1").write_bytes(b"half")
    now = store.path(orphan.key).stat().st_mtime
    assert store.sweep(lambda key: key == used.key, now + ORPHAN_SECONDS - 5) == 0
    assert store.sweep(lambda key: key == used.key, now + ORPHAN_SECONDS + 5) == 2
    assert [path.name for path in tmp_path.rglob("*-*")] == [used.key]


def test_sweep_passes_over_an_upload_that_ends_meanwhile(tmp_path: Path) -> None:
    store = AudioStore(tmp_path)
    for name in ("incoming-1", "incoming-2"):
        (tmp_path / name).write_bytes(b"half")
    now = (tmp_path / "incoming-1").stat().st_mtime + ORPHAN_SECONDS + 5

    def end_the_others(name: str) -> bool:
        for other in tmp_path.glob("incoming-*"):
            if other.name != name:
                other.unlink()
        return True

    assert store.sweep(end_the_others, now) == 0
