"""A client of the protocol in docs/protocol.md. It needs nothing of the server's code.

async with connect("ws://localhost:5001/ws/stt") as stream:
    await stream.send(pcm)  # in one task, and in another:
    async for event in stream:
        ...
"""

from client.errors import AudioError, ClientError, ConnectFailed, ConnectionLost, ProtocolError
from client.events import (
    Acknowledged,
    Cleared,
    Closed,
    Created,
    Error,
    Event,
    Final,
    Marker,
    Partial,
    SpeechStarted,
    SpeechStopped,
    Unknown,
    Updated,
    Word,
)
from client.stream import Stream, connect

__all__ = [
    "Acknowledged",
    "AudioError",
    "Cleared",
    "ClientError",
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "Created",
    "Error",
    "Event",
    "Final",
    "Marker",
    "Partial",
    "ProtocolError",
    "SpeechStarted",
    "SpeechStopped",
    "Stream",
    "Unknown",
    "Updated",
    "Word",
    "connect",
]
