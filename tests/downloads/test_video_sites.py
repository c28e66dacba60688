"""Download the recordings of web pages with yt-dlp, whose generic extractor reads a page of the test."""

import asyncio
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from downloads.errors import AddressRefused, DownloadError
from downloads.video_sites import ROOT, download_media
from tests.downloads.web_servers import answer, site
from tests.server.asgi_calls import wav
from tests.streaming.fakes import sound

pytest.importorskip("yt_dlp")

SPEECH = wav(sound((True, 16_000)))
MIB = 1 << 20


def page(*files: str) -> bytes:
    media = "".join(f'<video src="{file}"></video>' for file in files)
    return answer(200, f"<html><title>A talk</title>{media}</html>".encode(), content_type="text/html")


def ignore(done: int, total: int | None) -> None:
    pass


media = partial(download_media, private=True, max_seconds=60.0, on_bytes=ignore)


async def refusal_of(url: str, limit: int = MIB, *, private: bool = True) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        async with media(url, limit, private=private):
            pass
    return caught.value


SOUND = answer(200, SPEECH, content_type="audio/wav")


async def test_recording_of_a_page_is_downloaded() -> None:
    reports: list[tuple[int, int | None]] = []
    async with (
        site({"/talk": page("talk.wav"), "/talk.wav": SOUND}) as (url, _),
        media(f"{url}/talk", MIB, on_bytes=lambda *report: reports.append(report)) as (file, name),
    ):
        assert file.read() == SPEECH
        assert (name, Path(file.name).parent.exists()) == (
            "A talk (1).wav",
            True,
        )  # the generic extractor numbers
    assert not Path(file.name).parent.exists()
    assert reports[-1][0] > 0


@pytest.mark.slow
async def test_page_without_a_recording_fails() -> None:
    async with site({"/": page()}) as (url, _):
        refusal = await refusal_of(url)
    assert (refusal.code, refusal.is_transient) == ("not_audio", False)


@pytest.mark.slow
async def test_page_with_several_recordings_fails() -> None:
    async with site({"/": page("one.wav", "two.wav"), "/one.wav": SOUND, "/two.wav": SOUND}) as (url, _):
        assert "several recordings" in (await refusal_of(url)).message


@pytest.mark.slow
@pytest.mark.parametrize(("status", "transient"), [(404, False), (503, True)])
async def test_failure_of_the_file_says_whether_it_may_pass(status: int, transient: bool) -> None:
    async with site({"/": page("talk.wav"), "/talk.wav": answer(status)}) as (url, _):
        refusal = await refusal_of(url)
    assert (refusal.code, refusal.is_transient) == ("fetch_failed", transient)


@pytest.mark.slow
async def test_large_recording_is_refused() -> None:
    async with site({"/": page("talk.wav"), "/talk.wav": SOUND}) as (url, _):
        assert (await refusal_of(url, 1000)).code == "file_too_large"


async def test_connection_to_a_private_address_is_refused() -> None:
    async with site({"/": page("talk.wav"), "/talk.wav": SOUND}) as (url, heard):
        refusal = await refusal_of(url, private=False)
    assert isinstance(refusal, AddressRefused)
    assert heard == []


async def test_download_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    never = asyncio.Event()
    asked = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await never.wait()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"more than 0\.5 s"):
            async with media(url, MIB, total_seconds=0.5):
                pass
        never.set()


ATTACKS = {
    "loopback": "socket.create_connection(('localhost', 9), 1)",
    "a name": "socket.socket().connect(('localhost', 9))",
    "IPv6": "socket.socket(socket.AF_INET6).connect(('::1', 9))",
    "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "message": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', 9))",
    "connect_ex": "socket.socket().connect_ex(('169.254.169.254', 80))",
    "path": "socket.socket(socket.AF_UNIX).connect('/tmp/socket')",
    "program": "subprocess.run(['true'])",
    "system": "os.system('true')",
    "fork": "os.fork()",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_guard_cannot_be_bypassed(attack: str) -> None:
    program = (
        "import os, socket, subprocess\n"
        "from downloads.video_site_process import Refused, guard\n"
        "guard(private=False)\n"
        f"try: {attack}\n"
        "except Refused: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60)
    assert done.stdout == b"refused\n", done.stderr


def test_process_reports_in_lines(tmp_path: Path) -> None:
    request = {"url": "http://127.0.0.1:1/", "folder": str(tmp_path), "limit": 9, "private": False}
    done = subprocess.run(
        [sys.executable, "-m", "downloads.video_site_process"],
        cwd=ROOT,
        input=json.dumps(request | {"max_seconds": 1}).encode(),
        capture_output=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["code"] == "invalid_url"
