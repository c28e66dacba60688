"""What can end a stream from our side."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class StreamError(Exception):
    """Root of everything this package raises."""


class DetectorFailed(StreamError):
    """The voice detector failed on this stream's audio; nothing more can be said about it."""


class StreamBroken(StreamError):
    """A fault of ours in the middle of this stream."""


class Overloaded(StreamError):
    """No place for one more stream, or no progress on this one's audio for too long."""


class EventsUnread(Overloaded):
    """No more can be taken in, as its client has read its events too slowly for too long."""


class Breakable(Protocol):
    def fail(self, failure: StreamError) -> None:
        """Ends the stream, and has whoever waits for it hear why."""
        ...


Stream = TypeVar("Stream", bound=Breakable)
Given = ParamSpec("Given")


def fails_stream(
    receive: Callable[Concatenate[Stream, Given], None],
) -> Callable[Concatenate[Stream, Given], None]:
    """Of a method that takes in an answer: a fault in it ends its stream. Whoever hands out the answers could
    but log it, and the stream would wait for ever."""

    @wraps(receive)
    def received(stream: Stream, /, *args: Given.args, **kwargs: Given.kwargs) -> None:
        try:
            receive(stream, *args, **kwargs)
        except Exception as error:
            broken = StreamBroken("the server failed in the middle of this stream")
            broken.__cause__ = error
            stream.fail(broken)

    return received
