"""python -m client, as a program."""

import asyncio
import json
import sys
import wave
from pathlib import Path

import pytest

from tests.client.fake_server import silence, standin, tone
from tests.server.server_process import free_port

ROOT = Path(__file__).parents[2]


async def run(*arguments: str) -> tuple[int | None, str, str]:
    """Exit code, stdout, stderr of a program of this repository."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def write_wav(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setsampwidth(2)
        file.setnchannels(1)
        file.setframerate(8000)
        file.writeframes(silence(200, 8000) + tone(600, 8000) + silence(600, 8000))
    return path


async def test_a_file_is_transcribed(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav")
    async with standin("hello there") as server:
        code, out, err = await run("-m", "client", str(wav), "--url", server.url, "--fast")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["… hello", "… hello there", "   0.20 -   0.80 s  hello there"]


async def test_json_is_a_line_per_event(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav")
    async with standin("hello there") as server:
        code, out, _ = await run("-m", "client", str(wav), "--url", server.url, "--fast", "--json")
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert code == 0
    assert (events[0], events[-1]) == ("Created", "SessionClosed")


async def test_a_key_comes_from_the_command_line_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = str(write_wav(tmp_path / "a.wav"))
    monkeypatch.setenv("STT_API_KEY", "of-the-environment")
    async with standin() as server:
        await run("-m", "client", wav, "--url", server.url, "--fast")
        await run("-m", "client", wav, "--url", server.url, "--fast", "--key", "of-the-line")
    assert server.authorizations == ["Bearer of-the-environment", "Bearer of-the-line"]


async def test_no_file_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    code, out, err = await run("-m", "client", str(tmp_path / "none.wav"), "--fast")
    assert (code, out) == (2, "")
    assert err.startswith("there is no file")


async def test_without_a_server_it_says_how_to_start_one(tmp_path: Path) -> None:
    wav = str(write_wav(tmp_path / "a.wav"))
    code, out, err = await run("-m", "client", wav, "--url", f"ws://127.0.0.1:{free_port()}/ws/stt")
    assert (code, out) == (2, "")
    assert "no stream at" in err
    assert "./entrypoint.sh" in err
