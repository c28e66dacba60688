"""Loud: what a stream's part in a shared queue does with a fault of ours."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from stream.errors import StreamBroken, StreamError


class Breakable(Protocol):
    def fail(self, failure: StreamError) -> None:
        """Ends the stream, and has whoever waits for it hear why."""
        ...


Stream = TypeVar("Stream", bound=Breakable)
Given = ParamSpec("Given")


def loud(
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
