"""Events as lines."""

import io
import json
from dataclasses import replace

from client.console import Console, to_json
from client.events import Error, Event, Final, FinalWord, Marker, Partial

FINAL = Final("hello world", "item_1", 1200, 2340, "silence", 5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, *events: Event) -> str:
    screen = Console(out)
    for event in events:
        screen.show(event)
    return out.getvalue()


def partial(text: str) -> Partial:
    return Partial(text, "item_1", 1200, 0)


def test_a_file_gets_a_line_for_every_partial_that_changed() -> None:
    text = shown(io.StringIO(), partial("hello"), partial("hello"), partial("hello world"), FINAL)
    assert text.splitlines() == ["… hello", "… hello world", "   1.20 -   2.34 s  hello world"]


def test_a_terminal_shows_partials_in_one_place() -> None:
    text = shown(Terminal(), partial("hello"), partial("hello world"), FINAL)
    assert text.count("\n") == 1
    assert text.count("\r\x1b[K") == 3


def test_a_long_partial_shows_its_end_on_one_line_of_a_terminal() -> None:
    text = shown(Terminal(), partial("word " * 100 + "end"))
    assert text.endswith("end")
    assert len(text) < 200


def test_a_channel_stands_before_its_text() -> None:
    events = replace(partial("hello"), channel=1), replace(FINAL, channel=0)
    assert shown(io.StringIO(), *events).splitlines() == [
        "… [1] hello",
        "   1.20 -   2.34 s  [0] hello world",
    ]


def test_words_follow_their_final() -> None:
    final = Final("hi", "item_1", 0, 500, "silence", 1, words=(FinalWord("hi", 100, 400),))
    assert shown(io.StringIO(), final).splitlines()[1].split() == ["0.10", "-", "0.40", "s", "hi"]


def test_an_error_is_a_line_with_its_code() -> None:
    assert (
        shown(io.StringIO(), Error("too big", "message_too_large")) == "error: too big (message_too_large)\n"
    )


def test_other_events_are_not_shown() -> None:
    assert shown(io.StringIO(), Marker("m")) == ""


def test_json_names_the_event_and_its_fields() -> None:
    assert json.loads(to_json(Marker("m"))) == {"event": "Marker", "id": "m"}
    with_audio = Final("hi", "item_1", 0, 500, "silence", 1, audio=b"\x00\x01")
    assert json.loads(to_json(with_audio))["audio"] == "AAE="
