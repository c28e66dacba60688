"""Listener: a recording through the server's socket, and all that came back with its time."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import client
from audio.clip import SAMPLE_RATE
from bench.accuracy.audio_io import Samples
from client.pacing import at_once, in_real_time
from client.stream_audio import play

CHUNK_MS: Final = 100
EVENTS: Final = ("input_audio_buffer.speech_started", "session.closed")


@dataclass(slots=True)
class RecordingClient:
    """What one stream told; finals without words too.

    started_ms, first_partial_ms, final_ms: arrivals, by item, since the stream began
    """

    finals: list[client.Final] = field(default_factory=list)
    partials: dict[str, list[client.Partial]] = field(default_factory=dict)
    started_ms: dict[str, float] = field(default_factory=dict)
    first_partial_ms: dict[str, float] = field(default_factory=dict)
    final_ms: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    closed: client.SessionClosed | None = None

    def hear(self, event: client.Event, at_ms: float) -> None:
        match event:
            case client.Final():
                self.finals.append(event)
                self.final_ms[event.item_id] = at_ms
            case client.Partial():
                self.partials.setdefault(event.item_id, []).append(event)
                self.first_partial_ms.setdefault(event.item_id, at_ms)
            case client.SpeechStarted():
                self.started_ms[event.item_id] = at_ms
            case client.Error():
                self.errors.append(event.message)
            case client.SessionClosed():
                self.closed = event
            case _:
                pass


async def listen(url: str, samples: Samples, *, paced: bool, partials: bool) -> RecordingClient:
    """samples: float32 (n,) at 16 kHz, sent as they are. Raises client.SttClientError."""
    listener = RecordingClient()
    now = asyncio.get_running_loop().time
    sound, step = samples.astype("<f4", copy=False), SAMPLE_RATE * CHUNK_MS // 1000
    chunks = (sound[first : first + step].tobytes() for first in range(0, len(sound), step))
    events = [*EVENTS, "transcript.partial"] if partials else EVENTS
    # A server that is behind does not read for longer than a client waits for its pong.
    patience: dict[str, Any] = {} if paced else {"ping_timeout": None}
    async with client.connect(url, events=events, format="float32", **patience) as stream:
        began = now()
        await play(
            stream,
            in_real_time(chunks, CHUNK_MS / 1000) if paced else at_once(chunks),
            lambda event: listener.hear(event, (now() - began) * 1000),
        )
    return listener
