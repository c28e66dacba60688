"""Test test.py, the smoke client, as a process."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.client.fake_server import standin
from tests.client.test_main import run, write_wav
from tests.server.live_server import free_settings, serve


@pytest.mark.slow
async def test_it_prints_partials_and_finals_and_is_content_with_the_right_words(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav")
    expect = tmp_path / "a.txt"
    expect.write_text("Hello, there!")
    async with standin("hello there") as server:
        code, out, _ = await run("test.py", str(wav), "--url", server.url, "--expect", str(expect))
    lines = out.splitlines()
    assert lines[1:3] == ["… hello", "… hello there"]
    assert lines[3].startswith("   0.20 -   0.80 s  hello there  [")
    assert lines[4:] == ["Every word is right."]
    assert code == 0
    assert {m["type"] for m in server.received} == {
        "session.update",
        "input_audio_buffer.append",
        "end_of_stream",
    }


async def test_wrong_words_are_shown_and_fail(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav")
    expect = tmp_path / "a.txt"
    expect.write_text("Well, hello there.")
    async with standin("hello their") as server:
        code, out, _ = await run("test.py", str(wav), "--url", server.url, "--expect", str(expect), "--fast")
    assert out.splitlines()[-1] == "[-well-] hello [-there-] {+their+}"
    assert code == 1


async def test_no_server_is_a_plain_sentence(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/ws/stt"
        code, out, err = await run("test.py", str(write_wav(tmp_path / "a.wav")), "--url", url)
    assert (code, err) == (2, "")
    assert "Is the server running?" in out


@pytest.mark.parametrize("program", [("test.py",), ("-m", "client")])
@pytest.mark.parametrize("key", [(), ("--key", "wrong")])
def test_refused_key_is_explained(tmp_path: Path, program: tuple[str, ...], key: tuple[str, ...]) -> None:
    wav = str(write_wav(tmp_path / "a.wav"))
    with serve(free_settings(api_keys="alice:0123456789abcdef")) as server:
        code, out, err = asyncio.run(run(*program, wav, "--url", server.ws, *key))
    assert code == 2
    problem = "does not accept this" if key else "requires an"
    assert f"The server {problem} API key. Set STT_API_KEY, or pass --key" in out + err
    assert "Is the server running?" not in out + err


async def test_a_server_that_is_still_loading_is_told_of(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav")
    async with standin() as server:
        url = server.url.replace("/ws/stt", "/ws/loading")
        code, out, _ = await run("test.py", str(wav), "--url", url)
    assert code == 2
    assert "Server models not initialized." in out
