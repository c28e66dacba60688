"""Print events as lines for people, or as JSON for programs."""

import base64
import json
import shutil
from dataclasses import asdict
from typing import Any, TextIO

from client.events import Error, Event, Final, Partial

CLEAR = "\r\x1b[K"
ELLIPSIS = "… "


class Console:
    """Print finals as lines, and partials in place on a terminal or else as lines when they change."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._in_place = out.isatty()
        self._shown = ""

    def show(self, event: Event, note: str = "") -> None:
        """Print an event; note: text to append to a final."""
        match event:
            case Partial(text=text):
                self._show_partial(_channel(event) + text)
            case Final():
                words = "".join(f"\n{_line(w.start_ms, w.end_ms, '  ' + w.text)}" for w in event.words)
                text = _channel(event) + event.text
                self._show_line(_line(event.start_ms, event.end_ms, text) + note + words)
            case Error():
                self._show_line(f"error: {event.message}" + (f" ({event.code})" if event.code else ""))
            case _:
                pass

    def _show_partial(self, text: str) -> None:
        if text == self._shown:
            return
        self._shown = text
        if self._in_place:
            width = shutil.get_terminal_size().columns - len(ELLIPSIS) - 1
            self._out.write(CLEAR + ELLIPSIS + text[-width:])
        else:
            self._out.write(f"{ELLIPSIS}{text}\n")
        self._out.flush()

    def _show_line(self, line: str) -> None:
        self._shown = ""
        self._out.write((CLEAR if self._in_place else "") + line + "\n")
        self._out.flush()


def _channel(event: Final | Partial) -> str:
    """Return the beginning of a text that names its channel, if channels are kept apart."""
    return "" if event.channel is None else f"[{event.channel}] "


def _line(start_ms: int, end_ms: int, text: str) -> str:
    return f"{start_ms / 1000:7.2f} - {end_ms / 1000:6.2f} s  {text}"


def to_json(event: Event) -> str:
    """Return an event as one line of JSON, with the name of its class as "event"."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, default=_encode, ensure_ascii=False)


def _encode(value: Any) -> str:
    return base64.b64encode(value).decode()
