"""Send many streams in real time from one core, and score what comes back."""

import asyncio
import json
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from bench.accuracy.scoring import Score, ScoredTranscript, score
from bench.load.fast_ws_client import HandshakeError, LoadSocket, Opcode, encode, open_socket
from bench.load.message_tape import Tape

TICK_SECONDS: Final = 0.002  # frames that fall due within one tick are sent at its end
MAX_CONCURRENT_OPENS: Final = 32
CLOSE_SECONDS: Final = 30.0  # longest wait for the last finals
END_OF_STREAM: Final = encode(Opcode.TEXT, b'{"type":"end_of_stream"}')


@dataclass(slots=True)
class LoadResult:
    """Sum up all streams of a load.

    closes: streams by close code; messages: received messages; missing_ms: audio sent that the server did not
    receive; pacing_lag_ms: how late each message was sent
    """

    score: Score = field(default_factory=Score)
    errors: Counter[str] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)
    messages: int = 0
    missing_ms: float = 0.0
    pacing_lag_ms: "array[float]" = field(default_factory=lambda: array("d"))


class LoadStream:
    """Send `count` frames of a tape from frame `first` on as one stream.

    phase: seconds from the common start to the first sample. Frame k is due when its last sample would have
    been recorded, at phase + (k + 1) * chunk. chunk: seconds per frame
    """

    def __init__(self, tape: Tape, first: int, count: int, phase: float, result: LoadResult) -> None:
        self.phase = phase
        self.is_done = False
        self._tape = tape
        self._first = first
        self._count = count
        self._result = result
        self.chunk = tape.chunk_ms / 1000
        self._sent = 0
        self._begun = 0.0  # loop time of the first sample
        self._finals: list[ScoredTranscript] = []
        self._first_partials: dict[str, float] = {}

    async def open(self, url: str, settings: bytes) -> None:
        """Connect and send the first message. Raises HandshakeError and OSError."""
        self._socket: LoadSocket = await open_socket(url, self._on_text)
        self._socket.write(settings)

    def begin(self, start: float) -> None:
        """Set the common start of all streams, on the loop's clock."""
        self._begun = start + self.phase

    def send(self, due: int, now: float) -> None:
        """Send those of the first `due` frames that are not sent yet, and end_of_stream after the last."""
        socket = self._socket
        while not self.is_done and socket.is_writable and self._sent < due:
            socket.write(self._tape.frames[(self._first + self._sent) % len(self._tape.frames)])
            self._sent += 1
            self._result.pacing_lag_ms.append((now - self._begun - self._sent * self.chunk) * 1000)
            if self._sent == self._count:
                socket.write(END_OF_STREAM)
                self.is_done = True
        self.is_done = self.is_done or socket.closed.done()

    async def finish(self) -> None:
        """Wait until the server closes the connection, and add the stream to the result."""
        try:
            code = await asyncio.wait_for(asyncio.shield(self._socket.closed), CLOSE_SECONDS)
        except TimeoutError:
            self._result.errors["no_close"] += 1
            self._socket.abort()
            code = await self._socket.closed
        self._result.closes[code] += 1
        spoken = self._tape.utterances(self._first, self._count)
        self._result.score.add(score(spoken, self._finals, self._first_partials))

    def _on_text(self, text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        self._result.messages += 1
        match message["type"]:
            case "response.audio_transcript.done":
                self._on_final(message, arrival - self._begun)
            case "transcript.partial":
                self._first_partials.setdefault(message["item_id"], arrival - self._begun)
            case "error":
                self._result.errors[message.get("error", {}).get("code") or message["message"]] += 1
            case "session.closed":
                self._result.missing_ms += self._sent * self._tape.chunk_ms - message["received_ms"]
            case _:
                pass

    def _on_final(self, message: dict[str, Any], arrival: float) -> None:
        self._finals.append(
            ScoredTranscript(
                message["item_id"], message["start_ms"], message["end_ms"], arrival, message["reason"]
            )
        )


def settings_frame(events: Sequence[str], silence_ms: int) -> bytes:
    """Encode the session.update that begins a stream."""
    session = {"events": list(events), "include_audio": False, "vad": {"silence_ms": silence_ms}}
    return encode(Opcode.TEXT, json.dumps({"type": "session.update", "session": session}).encode())


def create_streams(
    tapes: Sequence[Tape], count: int, seconds: float, rng: np.random.Generator, result: LoadResult
) -> list[LoadStream]:
    """Create streams at random positions of random tapes, in the order of their phases."""
    frames = round(seconds * 1000 / tapes[0].chunk_ms)
    streams = []
    for phase in np.sort(rng.uniform(0, tapes[0].chunk_ms / 1000, count)):
        tape = tapes[int(rng.integers(len(tapes)))]
        streams.append(LoadStream(tape, int(rng.integers(len(tape.frames))), frames, float(phase), result))
    return streams


async def open_all(
    streams: Sequence[LoadStream], url: str, settings: bytes, result: LoadResult
) -> list[LoadStream]:
    """Open the streams and return those that succeeded. Failures are counted in the result."""
    limit = asyncio.Semaphore(MAX_CONCURRENT_OPENS)
    opened: list[LoadStream] = []

    async def open_one(stream: LoadStream) -> None:
        async with limit:
            try:
                await stream.open(url, settings)
            except (HandshakeError, OSError) as error:
                result.errors[f"connect: {error}"] += 1
            else:
                opened.append(stream)

    async with asyncio.TaskGroup() as tasks:
        for stream in streams:
            tasks.create_task(open_one(stream))
    return sorted(opened, key=lambda stream: stream.phase)


async def pace(streams: Sequence[LoadStream], chunk: float) -> None:
    """Send the frames of all streams in real time, in the order of their phases.

    A stream whose write buffer is full skips its turn, and sends all due frames at the next one.
    """
    now = asyncio.get_running_loop().time
    start = now()
    for stream in streams:
        stream.begin(start)
    turn = 0
    while not all(stream.is_done for stream in streams):
        for _ in streams:
            stream = streams[turn % len(streams)]
            frames = turn // len(streams) + 1
            wait = start + stream.phase + frames * chunk - now()
            if wait > 0:
                await asyncio.sleep(max(wait, TICK_SECONDS))
            stream.send(frames, now())
            turn += 1


async def run_load(
    tapes: Sequence[Tape], url: str, *, streams: int, seconds: float, settings: bytes, seed: int
) -> LoadResult:
    """Run all streams from their first message to their close.

    Raises HandshakeError if no stream could be opened.
    """
    result = LoadResult()
    rng = np.random.default_rng(seed)
    created = create_streams(tapes, streams, seconds, rng, result)
    opened = await open_all(created, url, settings, result)
    if not opened:
        raise HandshakeError(f"No stream could be opened: {dict(result.errors)}")
    await pace(opened, tapes[0].chunk_ms / 1000)
    await asyncio.gather(*(stream.finish() for stream in opened))
    return result
