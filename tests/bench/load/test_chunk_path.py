"""Test counting the calls of one chunk of audio."""

import asyncio
import json
import sys
import threading

import numpy as np
import pytest

from audio.clip import Clip
from bench import ROOT
from bench.load.chunk_path import (
    CHUNK_BYTES,
    Call,
    CallRecorder,
    ChunkPath,
    main,
    median_path,
    medians,
    read_chunks,
)
from server.observability.metrics import Metrics

HEARTBEAT = Call("d.py", "Metrics.heartbeat", True)
CAUSED = [("a.py", "f"), ("a.py", "g"), ("b.py", "Session.step"), ("a.py", "f")]
SHORT = ChunkPath([*(Call(path, function, False) for path, function in CAUSED), HEARTBEAT, HEARTBEAT])
LONG = ChunkPath([*SHORT.calls, Call("c.py", "Session.close", False)])
EMPTY = ChunkPath([])


def test_calls_files_and_changes_of_file_are_counted() -> None:
    caused = {"calls": 4, "files": 2, "file_changes": 2, "session_calls": 1}
    assert SHORT.figures() == {**caused, "all_calls": 6, "all_files": 3}
    assert set(EMPTY.figures().values()) == {0}


def test_medians_are_taken_over_the_chunks() -> None:
    assert medians([EMPTY, SHORT, LONG]) == SHORT.figures()
    assert median_path([EMPTY, SHORT, LONG]) is SHORT


def test_only_calls_of_the_repository_in_the_hooked_thread_are_recorded() -> None:
    recorder = CallRecorder()

    def work() -> None:
        recorder.install()
        np.zeros(3).mean()
        recorder.start()
        json.dumps({"a": np.zeros(3).tolist()})
        _ = Clip(np.zeros(3, np.float32)).end

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    _ = Clip(np.zeros(3, np.float32)).end
    calls = recorder.stop()
    assert {call.path for call in calls} == {"audio/clip.py"}
    assert "Clip.end" in [call.function for call in calls]
    assert recorder.stop() == []


async def test_what_a_heartbeat_calls_is_by_the_clock() -> None:
    recorder = CallRecorder()
    recorder.install()
    recorder.start()
    heartbeat = asyncio.create_task(Metrics().heartbeat(lambda: bool(Clip(np.zeros(3, np.float32)).end == 0)))
    await asyncio.sleep(0)
    _ = Clip(np.zeros(3, np.float32)).seconds
    heartbeat.cancel()
    sys.setprofile(None)
    by_the_clock = {call.function: call.by_the_clock for call in recorder.stop()}
    assert by_the_clock["Metrics.heartbeat"]
    assert not by_the_clock["Clip.seconds"]


def test_audio_is_cut_into_whole_chunks() -> None:
    chunks = read_chunks(ROOT / "test.wav", 0.55)
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES] * 5


@pytest.mark.slow
def test_the_command_ends_with_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "1", "-v"]) == 0
    out = capsys.readouterr().out
    figures = json.loads(out.splitlines()[-1])
    assert (figures["bench"], figures["chunks"]) == ("chunk_path", 10)
    assert figures["calls"] > figures["files"] > 1
    assert "streaming/session.py" in out
