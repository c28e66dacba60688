"""Downloads from a server that breaks."""

import hashlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.resumable_download import DownloadFailed, download, split_credentials
from tests.asr.file_server import FileServer, file_server
from tests.examples import examples

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MOST = 10**6
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loads no certificates, which would take long


@pytest.fixture
def served() -> Iterator[FileServer]:
    with file_server() as server:
        server.files["/a.whl"] = CONTENT
        yield server


def fetch(
    served: FileServer,
    target: Path,
    *,
    sha256: str | None = SHA256,
    most: int = MOST,
    retries: int = 2,
    seen: list[tuple[int, int | None]] | None = None,
) -> None:
    with httpx.Client(verify=NO_TLS) as client:
        download(
            client,
            f"{served.url}/a.whl",
            target,
            max_bytes=most,
            sha256=sha256,
            progress=lambda done, total: None if seen is None else seen.append((done, total)),
            pauses=(0.0,) * retries,
        )


def test_a_file_arrives_whole_with_its_progress(served: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(served, tmp_path / "a", seen=seen)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_broken_download_continues_in_the_same_run(served: FileServer, tmp_path: Path) -> None:
    served.cuts = [1000, 2000]
    fetch(served, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert served.requests_of("a.whl") == [None, "bytes=1000-", "bytes=3000-"]


def test_a_broken_download_continues_in_the_next_run(served: FileServer, tmp_path: Path) -> None:
    served.cuts = [1000]
    with pytest.raises(DownloadFailed, match="cannot be downloaded"):
        fetch(served, tmp_path / "a", retries=0)
    assert not (tmp_path / "a").exists()
    fetch(served, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert served.requests_of("a.whl") == [None, "bytes=1000-"]


def test_retries_end_without_progress(served: FileServer, tmp_path: Path) -> None:
    served.cuts = [0] * 10
    with pytest.raises(DownloadFailed):
        fetch(served, tmp_path / "a", retries=2)
    assert len(served.requests) == 3


def test_retries_count_anew_after_progress(served: FileServer, tmp_path: Path) -> None:
    served.cuts = [0, 100, 0, 100, 0, 100]
    fetch(served, tmp_path / "a", retries=2)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(served: FileServer, tmp_path: Path) -> None:
    served.ranges = False
    served.cuts = [1000]
    fetch(served, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_complete_part_is_only_renamed(served: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT)
    fetch(served, tmp_path / "a", most=len(CONTENT))
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert served.requests_of("a.whl") == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("size", [100, len(CONTENT) + 100, MOST + 100])
def test_a_part_of_another_file_is_replaced(served: FileServer, tmp_path: Path, size: int) -> None:
    (tmp_path / "a.part").write_bytes(b"x" * size)
    fetch(served, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(served: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="another SHA-256"):
        fetch(served, tmp_path / "a", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []
    assert len(served.requests) == 1


def test_a_larger_file_is_refused_before_its_body(served: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with pytest.raises(DownloadFailed, match="256000 bytes, more than the expected 1000"):
        fetch(served, tmp_path / "a", most=1000, seen=seen)
    assert (seen, list(tmp_path.iterdir())) == ([], [])


def test_a_missing_file_is_not_retried(served: FileServer, tmp_path: Path) -> None:
    served.files.clear()
    with pytest.raises(DownloadFailed, match="responded with 404"):
        fetch(served, tmp_path / "a")
    assert len(served.requests) == 1


def test_an_error_keeps_the_part(served: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    served.statuses = [403]
    with pytest.raises(DownloadFailed, match="responded with 403"):
        fetch(served, tmp_path / "a")
    assert (tmp_path / "a.part").read_bytes() == CONTENT[:1000]


def test_a_busy_server_is_asked_again(served: FileServer, tmp_path: Path) -> None:
    served.statuses = [503, 429]
    fetch(served, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_closed_port_is_named_without_the_password(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        url = f"127.0.0.1:{closed.getsockname()[1]}/a.whl"
        with httpx.Client(verify=NO_TLS) as client, pytest.raises(DownloadFailed) as caught:
            download(client, f"http://user:secret@{url}", tmp_path / "a", max_bytes=MOST, pauses=())
    assert url in str(caught.value)
    assert "secret" not in str(caught.value)


@examples(40)
@given(start=st.integers(0, 3000), cuts=st.lists(st.integers(1, 1500), max_size=4), ranges=st.booleans())
def test_any_interruption_gives_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, start: int, cuts: list[int], ranges: bool
) -> None:
    content = CONTENT[:3000]
    target = tmp_path_factory.mktemp("any") / "a"
    target.with_name("a.part").write_bytes(content[:start])
    with file_server() as served:
        served.files["/a.whl"], served.cuts, served.ranges = content, list(cuts), ranges
        fetch(served, target, sha256=hashlib.sha256(content).hexdigest(), most=3000, retries=5)
    assert target.read_bytes() == content
    assert not target.with_name("a.part").exists()


def test_credentials_are_split_from_an_address() -> None:
    assert split_credentials("https://a%40b:c%2Fd@host:1/x?y") == ("https://host:1/x?y", ("a@b", "c/d"))
    assert split_credentials("https://token@host/") == ("https://host/", ("token", ""))
    assert split_credentials("https://host/") == ("https://host/", None)
