"""Server-sent events are read wherever the text is cut."""

import json

import pytest

from tests.web.browser import Modules

EVENTS = [{"a": 1}, {"b": "ü\n\n"}, {"c": []}]
TEXT = ": hello\n\n" + "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS)


@pytest.mark.parametrize("size", [1, 3, 20, 1000])
async def test_events_come_out_whole(modules: Modules, size: int) -> None:
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    asked = """({ EventStream }, pieces) => {
        const stream = new EventStream();
        return pieces.flatMap((piece) => stream.push(piece));
    }"""
    assert await modules.run("sse", asked, pieces) == EVENTS
