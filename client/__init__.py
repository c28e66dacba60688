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
    ConnectionInterrupted,
    Created,
    Error,
    Event,
    Final,
    Lag,
    Marker,
    Partial,
    Resumed,
    SessionClosed,
    SpeechStarted,
    SpeechStopped,
    Unknown,
    Updated,
    Word,
)
from client.reconnect_policy import ReconnectPolicy
from client.stream import Stream, connect

__all__ = [
    "Acknowledged",
    "AudioError",
    "BacklogFull",
    "Cleared",
    "ClientError",
    "ConnectFailed",
    "ConnectionInterrupted",
    "ConnectionLost",
    "Created",
    "Error",
    "Event",
    "Final",
    "Lag",
    "Marker",
    "Partial",
    "ProtocolError",
    "ReconnectPolicy",
    "Resumed",
    "SessionClosed",
    "SpeechStarted",
    "SpeechStopped",
    "Stream",
    "Unknown",
    "Updated",
    "Word",
    "connect",
]
