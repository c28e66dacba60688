"""Stream a recording to a server, and record every event with its time."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import client
from audio.clip import SAMPLE_RATE
from bench.accuracy.audio_io import Samples
from client.pacing import at_once, in_real_time
from client.stream_audio import stream_audio

CHUNK_MS: Final = 100
EVENTS: Final = ("input_audio_buffer.speech_started", "session.closed")


@dataclass(slots=True)
class RecordingClient:
    """Collect the events of one stream, including finals without words.

    started_ms, first_partial_ms, final_ms: arrival by item, in ms since the stream began
    """

    finals: list[client.Final] = field(default_factory=list)
    partials: dict[str, list[client.Partial]] = field(default_factory=dict)
    started_ms: dict[str, float] = field(default_factory=dict)
    first_partial_ms: dict[str, float] = field(default_factory=dict)
    final_ms: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    closed: client.SessionClosed | None = None

    def receive(self, event: client.Event, at_ms: float) -> None:
        """Store an event that arrived `at_ms` after the start."""
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


async def stream_recording(url: str, samples: Samples, *, paced: bool, partials: bool) -> RecordingClient:
    """Stream samples to a server and return what was received.

    samples: float32 of shape (n,) at 16 kHz, sent unchanged; paced: whether to send in real time
    partials: whether to subscribe to partials. Raises client.SttClientError.
    """
    receiver = RecordingClient()
    now = asyncio.get_running_loop().time
    encoded, step = samples.astype("<f4", copy=False), SAMPLE_RATE * CHUNK_MS // 1000
    chunks = (encoded[first : first + step].tobytes() for first in range(0, len(encoded), step))
    events = [*EVENTS, "transcript.partial"] if partials else EVENTS
    # While audio is sent as fast as possible, pongs may arrive later than the ping timeout.
    timeouts: dict[str, Any] = {} if paced else {"ping_timeout": None}
    async with client.connect(url, events=events, format="float32", **timeouts) as stream:
        began = now()
        await stream_audio(
            stream,
            in_real_time(chunks, CHUNK_MS / 1000) if paced else at_once(chunks),
            lambda event: receiver.receive(event, (now() - began) * 1000),
        )
    return receiver
