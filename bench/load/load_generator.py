"""Generator: many paced streams from one core."""

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

TICK: Final = 0.002  # seconds; what falls due within one is sent at its end
OPENING: Final = 32  # connections that are opened at once
CLOSE_SECONDS: Final = 30.0  # for the last finals
END: Final = encode(Opcode.TEXT, b'{"type":"end_of_stream"}')


@dataclass(slots=True)
class Findings:
    """Of all streams. pacing_lag_ms: how late each message was sent; missing_ms: sent, but never received."""

    score: Score = field(default_factory=Score)
    errors: Counter[str] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)
    messages: int = 0
    missing_ms: float = 0.0
    pacing_lag_ms: "array[float]" = field(default_factory=lambda: array("d"))


class LoadStream:
    """One stream: `count` frames of a tape from frame `first` on.

    phase: seconds after the common start at which its microphone is switched on. Frame k is due when its last
    sample has been recorded, at phase + (k + 1) * chunk.
    """

    def __init__(self, tape: Tape, first: int, count: int, phase: float, findings: Findings) -> None:
        self.phase = phase
        self.is_done = False
        self._tape = tape
        self._first = first
        self._count = count
        self._findings = findings
        self.chunk = tape.chunk_ms / 1000
        self._sent = 0
        self._begun = 0.0  # loop time of the first sample
        self._heard: list[ScoredTranscript] = []
        self._first_partials: dict[str, float] = {}

    async def open(self, url: str, settings: bytes) -> None:
        """Raises HandshakeError, OSError."""
        self._socket: LoadSocket = await open_socket(url, self._on_text)
        self._socket.write(settings)

    def begin(self, start: float) -> None:
        self._begun = start + self.phase

    def send(self, due: int, now: float) -> None:
        """Sends those of the first `due` frames that are not sent yet; after the last one the end."""
        socket = self._socket
        while not self.is_done and socket.is_writable and self._sent < due:
            socket.write(self._tape.frames[(self._first + self._sent) % len(self._tape.frames)])
            self._sent += 1
            self._findings.pacing_lag_ms.append((now - self._begun - self._sent * self.chunk) * 1000)
            if self._sent == self._count:
                socket.write(END)
                self.is_done = True
        self.is_done = self.is_done or socket.closed.done()

    async def finish(self) -> None:
        """Waits for the server's close, and adds up."""
        try:
            code = await asyncio.wait_for(asyncio.shield(self._socket.closed), CLOSE_SECONDS)
        except TimeoutError:
            self._findings.errors["no_close"] += 1
            self._socket.abort()
            code = await self._socket.closed
        self._findings.closes[code] += 1
        said = self._tape.heard(self._first, self._count)
        self._findings.score.add(score(said, self._heard, self._first_partials))

    def _on_text(self, text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        self._findings.messages += 1
        match message["type"]:
            case "response.audio_transcript.done":
                self._on_final(message, arrival - self._begun)
            case "transcript.partial":
                self._first_partials.setdefault(message["item_id"], arrival - self._begun)
            case "error":
                self._findings.errors[message.get("error", {}).get("code") or message["message"]] += 1
            case "session.closed":
                self._findings.missing_ms += self._sent * self._tape.chunk_ms - message["received_ms"]
            case _:
                pass

    def _on_final(self, message: dict[str, Any], arrival: float) -> None:
        self._heard.append(
            ScoredTranscript(
                message["item_id"], message["start_ms"], message["end_ms"], arrival, message["reason"]
            )
        )


def settings_frame(events: Sequence[str], silence_ms: int) -> bytes:
    session = {"events": list(events), "include_audio": False, "vad": {"silence_ms": silence_ms}}
    return encode(Opcode.TEXT, json.dumps({"type": "session.update", "session": session}).encode())


def cast(
    tapes: Sequence[Tape], streams: int, seconds: float, rng: np.random.Generator, findings: Findings
) -> list[LoadStream]:
    """So many streams, each from a random place of a random tape, in the order of their phases."""
    count = round(seconds * 1000 / tapes[0].chunk_ms)
    cast = []
    for phase in np.sort(rng.uniform(0, tapes[0].chunk_ms / 1000, streams)):
        tape = tapes[int(rng.integers(len(tapes)))]
        cast.append(LoadStream(tape, int(rng.integers(len(tape.frames))), count, float(phase), findings))
    return cast


async def open_all(
    streams: Sequence[LoadStream], url: str, settings: bytes, findings: Findings
) -> list[LoadStream]:
    """Those that could be opened; of others the findings tell."""
    gate = asyncio.Semaphore(OPENING)
    opened: list[LoadStream] = []

    async def open_one(stream: LoadStream) -> None:
        async with gate:
            try:
                await stream.open(url, settings)
            except (HandshakeError, OSError) as error:
                findings.errors[f"connect: {error}"] += 1
            else:
                opened.append(stream)

    async with asyncio.TaskGroup() as tasks:
        for stream in streams:
            tasks.create_task(open_one(stream))
    return sorted(opened, key=lambda stream: stream.phase)


async def pace(streams: Sequence[LoadStream], chunk: float) -> None:
    """Gives each stream its turn once per chunk, in the order of phases, until all are done.

    A stream whose network is behind misses its turn, and sends all that is due at the next one.
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
                await asyncio.sleep(max(wait, TICK))
            stream.send(frames, now())
            turn += 1


async def run_load(
    tapes: Sequence[Tape], url: str, *, streams: int, seconds: float, settings: bytes, seed: int
) -> Findings:
    """All streams from their first message to their close. Raises HandshakeError if none could be opened."""
    findings = Findings()
    rng = np.random.default_rng(seed)
    opened = await open_all(cast(tapes, streams, seconds, rng, findings), url, settings, findings)
    if not opened:
        raise HandshakeError(f"no stream could be opened: {dict(findings.errors)}")
    await pace(opened, tapes[0].chunk_ms / 1000)
    await asyncio.gather(*(stream.finish() for stream in opened))
    return findings
