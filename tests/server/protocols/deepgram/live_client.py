"""Helpers that send audio to /v1/listen and read its messages."""

from tests.server.live_server import Client, Message


def talk(client: Client, pcm: bytes, chunk: int = 3200) -> None:
    """Send bytes in messages of a size."""
    for start in range(0, len(pcm), chunk):
        client.socket.send(pcm[start : start + chunk])


def closed(client: Client) -> list[Message]:
    """All that is still to come after CloseStream."""
    client.say("CloseStream")
    return client.hear_until_closed()


def of(kind: str, messages: list[Message]) -> list[Message]:
    return [message for message in messages if message["type"] == kind]
