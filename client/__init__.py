"""A client of the protocol in docs/protocol.md. It needs nothing of the server's code.

async with connect("ws://localhost:5001/ws/stt") as stream:
    await stream.send(pcm)  # in one task, and in another:
    async for event in stream:
        ...
"""

from client.errors import AudioError, BacklogFull, ClientError, ConnectFailed, ConnectionLost, ProtocolError
from client.events import (
    Acknowledged,
    Cleared,
    Closed,
    Created,
    Cut,
    Error,
    Event,
    Final,
    Lag,
    Marker,
    Partial,
    Resumed,
    SpeechStarted,
    SpeechStopped,
    Unknown,
    Updated,
    Word,
)
from client.resume import Resume
from client.stream import Stream, connect

__all__ = [
    "Acknowledged",
    "AudioError",
    "BacklogFull",
    "Cleared",
    "ClientError",
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "Created",
    "Cut",
    "Error",
    "Event",
    "Final",
    "Lag",
    "Marker",
    "Partial",
    "ProtocolError",
    "Resume",
    "Resumed",
    "SpeechStarted",
    "SpeechStopped",
    "Stream",
    "Unknown",
    "Updated",
    "Word",
    "connect",
]
