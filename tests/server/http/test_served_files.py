"""Test opening files of the server that a client names."""

import os
from pathlib import Path

import pytest

from server.errors import ApiError
from server.http.served_files import open_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files, links and a pipe, beside a file that must stay secret."""
    folder = tmp_path / "files"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "a.wav").write_bytes(b"sound")
    (folder / "deep/er/b.wav").write_bytes(b"deeper")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "files-too").mkdir()
    (tmp_path / "files-too/c.wav").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path / "files-too")
    (folder / "inside").symlink_to(folder / "a.wav")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.wav", b"sound"),
        ("./a.wav", b"sound"),
        ("deep/er/b.wav", b"deeper"),
        ("deep//er/./b.wav", b"deeper"),
    ],
)
def test_file_below_the_folder_is_opened(folder: Path, path: str, content: bytes) -> None:
    for spelling in (path, f"{folder}/{path}"):
        with open_below(folder, spelling, 100) as file:
            assert file.read() == content


@pytest.mark.parametrize(
    "path",
    ["../secret", "deep/../../secret", "deep/../a.wav", "..", "/etc/passwd", "", "a\0.wav", "x" * 5_000],
)
def test_path_out_of_the_folder_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(ApiError) as refused:
        open_below(folder, path, 100)
    assert (refused.value.status, refused.value.code) == (400, "invalid_path")


def test_folder_with_the_same_beginning_is_another_one(folder: Path) -> None:
    with pytest.raises(ApiError) as refused:
        open_below(folder, f"{folder}-too/c.wav", 100)
    assert refused.value.code == "invalid_path"


@pytest.mark.parametrize(
    "path", ["none.wav", "link", "linked/c.wav", "inside", "pipe", "deep", ".", "a.wav/x", "x" * 300]
)
def test_what_is_no_file_is_not_found(folder: Path, path: str) -> None:
    with pytest.raises(ApiError) as refused:
        open_below(folder, path, 100)
    assert (refused.value.status, refused.value.code) == (404, "file_not_found")


def test_large_file_is_refused(folder: Path) -> None:
    with pytest.raises(ApiError) as refused:
        open_below(folder, "a.wav", 4)
    assert refused.value.status == 413


def test_no_file_stays_open(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    if before is None:
        pytest.skip("this system does not list open files")
    for path in ("none.wav", "link", "pipe", "deep", "deep/none"):
        with pytest.raises(ApiError):
            open_below(folder, path, 100)
    with open_below(folder, "deep/er/b.wav", 100):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
