"""What a model thinks before it writes is not shown, and a broken stream is a named failure."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from postprocessing.chat import VisibleText
from postprocessing.summary import Summarizer
from postprocessing.summary_types import SummaryEndpoint
from tests.postprocessing.chat_server import streamed


def shown(text: str, cuts: list[int]) -> str:
    """Return what is shown of a text that comes in pieces."""
    visible, places = VisibleText(), sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    return "".join(map(visible.push, pieces))


@given(st.text(max_size=40), st.lists(st.integers(0, 100)))
def test_text_without_thoughts_is_shown(text: str, cuts: list[int]) -> None:
    text = f"a{text}"
    assert shown(f"  {text}", cuts) == text


@given(st.lists(st.integers(0, 100)))
def test_thoughts_are_left_out_however_they_are_cut(cuts: list[int]) -> None:
    assert shown(" <think>Is 1 < 2?</think> \n Yes.", cuts) == "Yes."


def test_thoughts_that_do_not_end_are_not_shown() -> None:
    assert shown("<think>and so on", [3, 9]) == ""


async def test_connection_that_breaks_in_a_stream_is_named() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun = streamed("The harbour")[:60]
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n" + begun
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        summarizer = Summarizer(SummaryEndpoint(f"http://127.0.0.1:{port}/v1", "small"))
        summary = await summarizer.summarize(["It rained on Monday."], lambda piece: None)
    assert (summary.method, summary.text) == ("extractive", "It rained on Monday.")
    assert summary.reason is not None
    assert summary.reason.startswith("the endpoint cannot be used: ")
