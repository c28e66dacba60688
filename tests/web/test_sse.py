"""Server-sent events are parsed however the text is split into chunks."""

import json

import pytest

from tests.web.browser import Modules

EVENTS = [{"a": 1}, {"b": "ü\n\n"}, {"c": []}]
TEXT = ": hello\n\n" + "".join(f"event: x{i}\ndata: {json.dumps(each)}\n\n" for i, each in enumerate(EVENTS))


@pytest.mark.parametrize("size", [1, 3, 20, 1000])
async def test_split_events_are_parsed(modules: Modules, size: int) -> None:
    chunks = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    function = """({ SseParser }, chunks) => {
        const parser = new SseParser();
        return chunks.flatMap((chunk) => parser.push(chunk));
    }"""
    named = [{"name": f"x{i}", "data": each} for i, each in enumerate(EVENTS)]
    assert await modules.run("sse", function, chunks) == named


async def test_event_has_its_id(modules: Modules) -> None:
    function = "({ SseParser }, text) => new SseParser().push(text)"
    found = await modules.run("sse", function, "id: 7\nevent: x\ndata: {}\n\n")
    assert found == [{"id": "7", "name": "x", "data": {}}]


async def test_event_without_name_is_a_message(modules: Modules) -> None:
    found = await modules.run(
        "sse", "({ SseParser }, text) => new SseParser().push(text)", 'data: {"a": 1}\n\n'
    )
    assert found == [{"name": "message", "data": {"a": 1}}]
