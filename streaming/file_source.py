"""Transcribe a file through the same session and models as a live stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
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
    on_clip: Callable[[Clip], Awaitable[None]] | None = None,
    likely_language: str | None = None,
) -> AsyncGenerator[Event, None]:
    """Yield the events of a file in order, up to StreamClosed. Close the generator if you leave it early.

    clips: from sample 0 on, without gaps; read in a thread, and no faster than the models work, so that at
        most about a minute and a half of audio is held
    on_progress: called now and then with the sample up to which everything has been recognised
    on_clip: awaited with each clip before the next one is read
    likely_language: ISO 639-1 code of the last certain language before the clips, if they continue a file
        (docs/decisions/0019); None if nothing came before

    An exception of `clips` or of `on_clip` is raised after StreamClosed: all audio before it is transcribed.
    Raises DetectorFailed.
    """
    # Eager finals use the silence of a live pause, and incremental partials the speech before it, to save
    # time at the end. A file has no such time: both would only do work twice, as would adaptive endpointing.
    options = replace(options or SessionOptions(), eager=False, partials=False, turn=FixedSilence())
    with StreamDriver(replace(models, incremental=False, bulk=True, spool=None), options) as driver:
        driver.session.results.language = likely_language
        report = _reporter(driver, on_progress)
        feeding = asyncio.create_task(_feed(clips, driver, report, on_clip), name="feed a file")
        try:
            async for event in driver.events():
                report()
                yield event
        finally:
            feeding.cancel()
            failures = await asyncio.gather(feeding, return_exceptions=True)
    if isinstance(failures[0], Exception):
        raise failures[0]


async def _feed(
    clips: Iterator[Clip],
    driver: StreamDriver,
    report: Callable[[], None],
    on_clip: Callable[[Clip], Awaitable[None]] | None,
) -> None:
    try:
        while (clip := await run_in_thread_to_completion(next, clips, None)) is not None:
            driver.receive_audio(clip)
            report()
            if on_clip is not None:
                await on_clip(clip)
            while not driver.has_capacity:
                with suppress(Overloaded):  # a large model may take minutes for a batch: no live client waits
                    await driver.wait_for_capacity()
    except Exception:
        driver.end(Reason.END_OF_STREAM)
        raise
    driver.end(Reason.END_OF_STREAM)


def _reporter(driver: StreamDriver, on_progress: Progress | None) -> Callable[[], None]:
    """Return a function that reports how far recognition has come, whenever it has advanced."""
    furthest = 0

    def report() -> None:
        nonlocal furthest
        reached = driver.session.judged - driver.session.unrecognised
        if on_progress is not None and reached > furthest:
            furthest = reached
            on_progress(reached)

    return report
