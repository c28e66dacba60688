"""Decode a text that repeats itself again, in other ways."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar


class Window(Protocol):
    """Describe what a decoder gets: a stretch of a clip."""

    @property
    def partial(self) -> bool: ...


AnyWindow = TypeVar("AnyWindow", bound=Window)
Decoded = TypeVar("Decoded")


def decode_loops_again(
    windows: Sequence[AnyWindow],
    decoded: list[Decoded],
    retries: Sequence[Callable[[AnyWindow], AnyWindow | None]],
    *,
    is_loop: Callable[[AnyWindow, Decoded], bool],
    decode: Callable[[list[AnyWindow]], Sequence[Decoded]],
) -> None:
    """Replace each final in `decoded` that is a loop by the first decoding that is none.

    If all are loops, the text stays: it is the most probable one. Partials stay, because the next one follows
    soon.

    retries: each returns a window that is decoded in another way, or None for one that it does not suit
    """
    loops = [
        index
        for index, (window, part) in enumerate(zip(windows, decoded, strict=True))
        if not window.partial and is_loop(window, part)
    ]
    for retry in retries:
        retried = [(index, window) for index in loops if (window := retry(windows[index])) is not None]
        if not retried:
            continue
        parts = decode([window for _, window in retried])
        for (index, _), part in zip(retried, parts, strict=True):
            if not is_loop(windows[index], part):
                decoded[index] = part
                loops.remove(index)
