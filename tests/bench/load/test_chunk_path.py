"""Test counting the calls of one chunk of audio."""

import json
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

SHORT = ChunkPath([Call("a.py", "f"), Call("a.py", "g"), Call("b.py", "Session.step"), Call("a.py", "f")])
LONG = ChunkPath([*SHORT.calls, Call("c.py", "Session.close")])
EMPTY = ChunkPath([])


def test_calls_files_and_changes_of_file_are_counted() -> None:
    assert SHORT.figures() == {"calls": 4, "files": 2, "file_changes": 2, "session_calls": 1}
    assert EMPTY.figures() == {"calls": 0, "files": 0, "file_changes": 0, "session_calls": 0}


def test_medians_are_taken_over_the_chunks() -> None:
    assert medians([EMPTY, SHORT, LONG]) == {"calls": 4, "files": 2, "file_changes": 2, "session_calls": 1}
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
