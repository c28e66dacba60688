"""Offline: a file as the source of the session, the batches and the events of a live stream."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from audio.clip import Clip
from streaming.driver import StreamDriver
from streaming.endpointing import FixedSilence
from streaming.errors import Overloaded
from streaming.events import Event
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.threads import run_in_thread_to_completion
from vad.segmenter import Reason

Progress = Callable[[int], None]


async def transcribe_file(
    clips: Iterator[Clip],
    models: ModelClients,
    options: SessionOptions | None = None,
    on_progress: Progress | None = None,
) -> AsyncGenerator[Event, None]:
    """The events of a stream that is there as a whole, in order, up to Closed. To be closed if left early.

    clips: from sample 0 on, without gaps; taken from it in a thread, and no faster than the models follow, so
        that at most about a minute and a half of sound is held
    on_progress: called now and then with the sample up to which everything has been recognised

    What `clips` raises in its course is raised here behind Closed: all that came before it is transcribed.
    Raises DetectorFailed.
    """
    # Eager finals hide work in the silence of a live pause, and incremental partials in the speech before it.
    # A file waits for nobody: here both would only be work done twice, as by a turn that asks for the first.
    options = replace(options or SessionOptions(), eager=False, partials=False, turn=FixedSilence())
    with StreamDriver(replace(models, incremental=False, bulk=True), options) as pump:
        tell = _reporter(pump, on_progress)
        pouring = asyncio.create_task(_pour(clips, pump, tell), name="pour a file")
        try:
            async for event in pump.events():
                tell()
                yield event
        finally:
            pouring.cancel()
            failures = await asyncio.gather(pouring, return_exceptions=True)
    if isinstance(failures[0], Exception):
        raise failures[0]


async def _pour(clips: Iterator[Clip], pump: StreamDriver, tell: Callable[[], None]) -> None:
    try:
        while (clip := await run_in_thread_to_completion(next, clips, None)) is not None:
            pump.receive_audio(clip)
            tell()
            while not pump.has_room:
                with suppress(Overloaded):  # a large model may take minutes over a batch: nobody waits live
                    await pump.room()
    except Exception:
        pump.end(Reason.END_OF_STREAM)
        raise
    pump.end(Reason.END_OF_STREAM)


def _reporter(pump: StreamDriver, on_progress: Progress | None) -> Callable[[], None]:
    """Tells how far recognition has come, whenever that is further than before."""
    furthest = 0

    def tell() -> None:
        nonlocal furthest
        reached = pump.session.judged - pump.session.unrecognised
        if on_progress is not None and reached > furthest:
            furthest = reached
            on_progress(reached)

    return tell
