"""Decode a text that repeats itself again at higher temperatures (openai/whisper, transcribe.py)."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from asr.recognizer import TranscriptionOptions


class Window(Protocol):
    """Describe what a decoder gets: a stretch of a clip with the options of its request."""

    @property
    def options(self) -> TranscriptionOptions: ...

    @property
    def partial(self) -> bool: ...


AnyWindow = TypeVar("AnyWindow", bound=Window)
Decoded = TypeVar("Decoded")


def decode_loops_again(
    windows: Sequence[AnyWindow],
    decoded: list[Decoded],
    temperatures: Sequence[float],
    *,
    is_loop: Callable[[AnyWindow, Decoded], bool],
    at_temperature: Callable[[AnyWindow, float], AnyWindow],
    decode: Callable[[list[AnyWindow]], Sequence[Decoded]],
) -> None:
    """Replace each final in `decoded` that is a loop by the first decoding that is none.

    If all are loops, the text stays: it is the most probable one. Partials stay, because the next one follows
    soon; so does a text that was requested at one of the temperatures or above, for these temperatures.
    """
    loops = [
        index
        for index, (window, part) in enumerate(zip(windows, decoded, strict=True))
        if not window.partial and is_loop(window, part)
    ]
    for temperature in temperatures:
        again = [index for index in loops if windows[index].options.temperature < temperature]
        if not again:
            continue
        parts = decode([at_temperature(windows[index], temperature) for index in again])
        for index, part in zip(again, parts, strict=True):
            if not is_loop(windows[index], part):
                decoded[index] = part
                loops.remove(index)
