"""Count the Python calls that one 100 ms chunk of audio causes on the event loop.

    python -m bench.load.chunk_path [-v]

The app runs in this process with a recognizer that costs nothing, without resuming or journals. A client
sends test.wav over the native protocol in real time. A profiler hook on the thread of the event loop records
every call of a function of this repository in the 100 ms that follow a chunk. What the event loop calls by
the clock (BY_THE_CLOCK), with or without audio, counts only in the figures of all calls: heartbeats, the load
monitor, the watch over keys, checks for missing audio, and acknowledgements. The figures are medians over the
chunks.
"""

import argparse
import base64
import json
import os
import statistics
import sys
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from audio.clip import SAMPLE_RATE
from bench import ROOT
from bench.load.in_process_server import dummy_app, serving
from bench.load.load import settings_of, show
from bench.load.machine import machine
from bench.load.protocol_overhead import READY_SECONDS, answers
from server.http.uvicorn_protocols import HttpProtocol, WebSocketProtocol

CHUNK_MS: Final = 100
CHUNK_BYTES: Final = 2 * SAMPLE_RATE * CHUNK_MS // 1000
REPOSITORY: Final = f"{ROOT}{os.sep}"


BY_THE_CLOCK: Final = frozenset(
    {
        "AuthService.watch",
        "LoadMonitor.run",
        "MessageSender.send_acknowledgements",
        "Metrics.heartbeat",
        "NoAudioTimer._check",
    }
)


class Call(NamedTuple):
    """Name a function that was called. path: relative to the repository.

    by_the_clock: whether it was called, directly or not, by a function of BY_THE_CLOCK
    """

    path: str
    function: str
    by_the_clock: bool


class CallRecorder:
    """Record the calls of this repository's functions on the thread that calls `install`."""

    def __init__(self) -> None:
        self._calls: list[Call] | None = None

    def install(self) -> None:
        """Install the profiler hook on the current thread."""
        sys.setprofile(self._on_event)

    def start(self) -> None:
        """Begin to record. Another thread than that of the hook may call this."""
        self._calls = []

    def stop(self) -> list[Call]:
        """Stop, and return the calls since `start` in their order."""
        calls, self._calls = self._calls, None
        return calls or []

    def _on_event(self, frame: FrameType, event: str, argument: object) -> None:
        calls = self._calls
        if calls is None or event != "call":
            return
        path = frame.f_code.co_filename
        if path.startswith(REPOSITORY) and "site-packages" not in path:
            calls.append(
                Call(path.removeprefix(REPOSITORY), frame.f_code.co_qualname, is_by_the_clock(frame))
            )


def is_by_the_clock(frame: FrameType) -> bool:
    """Return whether a function of BY_THE_CLOCK runs, or called the one that runs."""
    caller: FrameType | None = frame
    while caller is not None:
        if caller.f_code.co_qualname in BY_THE_CLOCK:
            return True
        caller = caller.f_back
    return False


@dataclass(frozen=True, slots=True)
class ChunkPath:
    """Hold the calls that followed one chunk."""

    calls: Sequence[Call]

    @property
    def caused(self) -> Sequence[Call]:
        """The calls that the chunk caused: all but those by the clock."""
        return [call for call in self.calls if not call.by_the_clock]

    def figures(self) -> dict[str, int]:
        """Count the calls.

        files: different files; file_changes: calls in another file than the call before
        session_calls: calls of methods of streaming.session.Session
        all_calls, all_files: with what is called by the clock
        """
        calls = self.caused
        return {
            "calls": len(calls),
            "files": len({call.path for call in calls}),
            "file_changes": sum(one.path != other.path for one, other in pairwise(calls)),
            "session_calls": sum(call.function.startswith("Session.") for call in calls),
            "all_calls": len(self.calls),
            "all_files": len({call.path for call in self.calls}),
        }


def medians(paths: Sequence[ChunkPath]) -> dict[str, float]:
    """Return the median of each figure over all chunks."""
    rows = [path.figures() for path in paths]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def median_path(paths: Sequence[ChunkPath]) -> ChunkPath:
    """Return the chunk whose number of calls is nearest to the median."""
    median = statistics.median(len(path.caused) for path in paths)
    return min(paths, key=lambda path: abs(len(path.caused) - median))


def read_chunks(path: Path, seconds: float) -> list[bytes]:
    """Return the first `seconds` of a mono WAV file, PCM16 at 16 kHz, in whole chunks."""
    with wave.open(str(path)) as file:
        pcm = file.readframes(round(seconds * SAMPLE_RATE))
    return [pcm[start : start + CHUNK_BYTES] for start in range(0, len(pcm) - CHUNK_BYTES + 1, CHUNK_BYTES)]


def record_chunks(chunks: Sequence[bytes]) -> list[ChunkPath]:
    """Send the chunks to a server in this process in real time, and record the calls after each."""
    recorder = CallRecorder()
    app = dummy_app(resume_seconds=0, log_level="warning")
    options: dict[str, Any] = {"http": HttpProtocol, "ws": WebSocketProtocol, "ws_per_message_deflate": False}
    with serving(app, recorder.install, **options) as url:
        _wait_until_ready(f"{url}ready")
        address = f"ws://{url.removeprefix('http://')}ws/stt"
        with connect(address, compression=None, max_size=None, proxy=None) as socket:
            paths = []
            begin = time.monotonic()
            for number, chunk in enumerate(chunks, 1):
                audio = base64.b64encode(chunk).decode()
                message = json.dumps({"type": "input_audio_buffer.append", "audio": audio})
                recorder.start()
                socket.send(message)
                time.sleep(max(0.0, begin + number * CHUNK_MS / 1000 - time.monotonic()))
                paths.append(ChunkPath(recorder.stop()))
            socket.send(json.dumps({"type": "end_of_stream"}))
            try:
                while True:
                    socket.recv()
            except ConnectionClosed:
                return paths


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not answers(address):
        if time.monotonic() > deadline:
            raise SystemExit("The server did not become ready.")
        time.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.chunk_path",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the audio")
    parser.add_argument("--audio", type=Path, default=ROOT / "test.wav", help="mono WAV, PCM16 at 16 kHz")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the calls of a median chunk")
    options = parser.parse_args(arguments)
    head = {"machine": machine(), "settings": settings_of(options)}
    for title, part in head.items():
        show(title, part)
    paths = record_chunks(read_chunks(options.audio, options.seconds))
    if options.verbose:
        print("\ncalls of a median chunk")
        for call in median_path(paths).calls:
            print(f"  {call.path:44} {call.function}{'  (by the clock)' if call.by_the_clock else ''}")
    figures = {"chunks": len(paths), **medians(paths)}
    show("medians", figures)
    print(json.dumps({"bench": "chunk_path", **head, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
