"""Run the same sessions with client/ over connections that are cut. Its user must not notice."""

import asyncio
from contextlib import AsyncExitStack

import client
from client import Stream
from tests.client.proxy import proxy
from tests.faults.fault_client import LATER, TIMEOUT_SECONDS, World
from tests.faults.fault_plan import Script
from tests.faults.protocol_checker import Wrong
from tests.faults.scenario import Command, Play

RESUME = client.ReconnectPolicy(give_up_seconds=TIMEOUT_SECONDS, max_delay_seconds=1.0)
AGAIN_SECONDS = 0.2

Told = tuple[tuple[object, ...], ...]


async def told_by_library(world: World, play: Play, script: Script) -> tuple[Told, tuple[int, ...]]:
    """Return the finals, failures and markers that the program received, and the sums.

    Raises Wrong and TimeoutError.
    """
    async with asyncio.timeout(TIMEOUT_SECONDS), proxy(world.url, after=script.cuts) as line:
        while True:
            events = await _session(line.url, play, script)
            if events is not None:
                break
            await asyncio.sleep(AGAIN_SECONDS)
    world.met["library: cut"] += line.cuts
    return tuple(filter(None, map(_row, events))), _sums(events)


async def _session(url: str, play: Play, script: Script) -> list[client.Event] | None:
    """Return all events; None if the server was starting, so that there was no session to resume."""
    events: list[client.Event] = []
    async with AsyncExitStack() as stack:
        try:
            stream = await stack.enter_async_context(
                client.connect(url, format=play.encoding.format.value, events=play.events, resume=RESUME)
            )
        except client.ConnectFailed:
            return None
        talking = asyncio.create_task(_talk(stream, play, script))
        try:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - keeps the events before an error
            await talking
        except client.ConnectionLost as lost:
            if lost.code in LATER and not any(isinstance(event, client.Created) for event in events):
                return None
            raise Wrong(f"the library gave up: {lost!r}") from lost
        except client.SttClientError as error:
            raise Wrong(f"the library failed: {error!r}") from error
        finally:
            talking.cancel()
            await asyncio.wait((talking,))
    return events


async def _talk(stream: Stream, play: Play, script: Script) -> None:
    at = 0
    chunk = script.chunks_ms[1]
    for command in [*play.commands, None]:
        end = play.ms if command is None else command.at_ms
        while at < end:
            start, at = at, min(at + chunk, end)
            await stream.send(play.between(start, at))
            await asyncio.sleep((at - start) / 1000 / script.pace if script.pace else 0)
        if command is not None:
            await _ask(stream, command)
    await stream.end()


async def _ask(stream: Stream, command: Command) -> None:
    fields = dict(command.fields)
    match command.type:
        case "marker":
            await stream.mark(fields["id"])
        case "session.update":
            await stream.update(**fields["session"])
        case "input_audio_buffer.commit":
            await stream.commit()
        case _:
            await stream.clear()


def _row(event: client.Event) -> tuple[object, ...] | None:
    match event:
        case client.Final():
            return ("final", event.text, event.start_ms, event.end_ms, event.reason)
        case client.Error(code="transcription_failed"):
            return ("failed",)
        case client.Marker(id):
            return ("marker", id)
        case client.Error():
            raise Wrong(f"the program was told {event}")
        case _:
            return None


def _sums(events: list[client.Event]) -> tuple[int, ...]:
    for event in events:
        if isinstance(event, client.SessionClosed):
            return (event.received_ms, event.speech_ms, event.non_speech_ms, event.dropped_ms, event.segments)
    raise Wrong("session.closed never came")
