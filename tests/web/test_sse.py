"""Server-sent events are parsed however the text is split into chunks."""

import json

import pytest

from tests.web.browser import Modules

EVENTS = [{"a": 1}, {"b": "ü\n\n"}, {"c": []}]
TEXT = ": hello\n\n" + "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS)


@pytest.mark.parametrize("size", [1, 3, 20, 1000])
async def test_split_events_are_parsed(modules: Modules, size: int) -> None:
    chunks = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    function = """({ SseParser }, chunks) => {
        const parser = new SseParser();
        return chunks.flatMap((chunk) => parser.push(chunk));
    }"""
    assert await modules.run("sse", function, chunks) == EVENTS
