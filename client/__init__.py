"""Stream audio to a server with the protocol in docs/protocol.md, independently of the server's code.

async with connect("ws://localhost:5001/ws/stt") as stream:
    await stream.send(pcm)  # in one task, and in another:
    async for event in stream:
        ...
"""

from client.errors import (
    AudioInputError,
    BacklogFull,
    ConnectFailed,
    ConnectionLost,
    ProtocolError,
    SttClientError,
)
from client.events import (
    Acknowledged,
    Cleared,
    ConnectionInterrupted,
    Created,
    Error,
    Event,
    Final,
    FinalWord,
    Lag,
    Marker,
    Partial,
    Resumed,
    RevisedFinal,
    SessionClosed,
    SpeakersRevised,
    SpeechStarted,
    SpeechStopped,
    Unknown,
    Updated,
)
from client.reconnect_policy import ReconnectPolicy
from client.stream import Stream, connect

__all__ = [
    "Acknowledged",
    "AudioInputError",
    "BacklogFull",
    "Cleared",
    "ConnectFailed",
    "ConnectionInterrupted",
    "ConnectionLost",
    "Created",
    "Error",
    "Event",
    "Final",
    "FinalWord",
    "Lag",
    "Marker",
    "Partial",
    "ProtocolError",
    "ReconnectPolicy",
    "Resumed",
    "RevisedFinal",
    "SessionClosed",
    "SpeakersRevised",
    "SpeechStarted",
    "SpeechStopped",
    "Stream",
    "SttClientError",
    "Unknown",
    "Updated",
    "connect",
]
