"""Offline: a file as the source of the session, the batches and the events of a live stream."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from asr.hypothesis import Description, Hypothesis, Request
from audio.clip import Clip
from batching.batcher import Batcher
from batching.worker import ProcessWorker, ThreadWorker
from stream.errors import Overloaded
from stream.events import Event
from stream.options import SessionOptions
from stream.pump import Models, Probabilities, Pump
from vad.segmenter import Reason
from vad.work import Work

if TYPE_CHECKING:
    from asr.models import Loaded
    from vad.detector import Detector

MAX_FILES: Final = 64  # that are transcribed at once
BATCH_ITEMS: Final = 16
BATCH_SECONDS: Final = 120.0

Progress = Callable[[int], None]


async def transcribe_file(
    clips: Iterator[Clip],
    models: Models,
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
    # A file waits for nobody: here both would only be work done twice.
    options = replace(options or SessionOptions(), eager=False)
    with Pump(replace(models, incremental=False), options) as pump:
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


async def _pour(clips: Iterator[Clip], pump: Pump, tell: Callable[[], None]) -> None:
    try:
        while (clip := await asyncio.to_thread(next, clips, None)) is not None:
            pump.receive_audio(clip)
            tell()
            while not pump.has_room:
                with suppress(Overloaded):  # a large model may take minutes over a batch: nobody waits live
                    await pump.room()
    except Exception:
        pump.end(Reason.END_OF_STREAM)
        raise
    pump.end(Reason.END_OF_STREAM)


def _reporter(pump: Pump, on_progress: Progress | None) -> Callable[[], None]:
    """Tells how far recognition has come, whenever that is further than before."""
    furthest = 0

    def tell() -> None:
        nonlocal furthest
        reached = pump.session.judged - pump.session.unrecognised
        if on_progress is not None and reached > furthest:
            furthest = reached
            on_progress(reached)

    return tell


@asynccontextmanager
async def load_models(
    model: str, *, device: str = "auto", dtype: str = "auto", hub_timeout: float = 3.0
) -> AsyncIterator[tuple[Models, Description]]:
    """The detector in a thread, the recognizer in a process; both stop when the context is left.

    In its process a model has torch's threads to itself, of which the detector leaves this one a single one,
    and whoever interrupts us need not wait for the end of a batch. Arguments and errors as of
    asr.models.load.
    """
    detector = ThreadWorker(_build_detector, _detect, name="vad")
    recognizer: ProcessWorker[Loaded, Request, Hypothesis] = ProcessWorker(
        partial(_build_recognizer, model, device, dtype, hub_timeout),
        _transcribe,
        name="asr",
        describe=_describe,
    )
    vad: Batcher[Work, Probabilities] = Batcher(
        detector, max_items=MAX_FILES, max_waiting=MAX_FILES, stateless=False
    )
    asr: Batcher[Request, Hypothesis] = Batcher(
        recognizer,
        max_items=BATCH_ITEMS,
        max_waiting=MAX_FILES,
        cost=lambda request: request.clip.seconds,
        budget=BATCH_SECONDS,
    )
    async with vad, asr:
        await asyncio.gather(detector.start(), recognizer.start())
        description = recognizer.description
        assert isinstance(description, Description)
        yield Models(detector.model, vad, asr, description.incremental), description


def _build_detector() -> "Detector":
    from vad.detector import Detector  # torch: a second and more

    return Detector.load("cpu", max_slots=MAX_FILES)


def _detect(detector: "Detector", work: list[Work]) -> list[Probabilities]:
    return detector.step(work)


def _build_recognizer(model: str, device: str, dtype: str, hub_timeout: float) -> "Loaded":
    # Read when the hub's client is imported, which in this process it is not yet. The bars' lock would be
    # left behind, with a warning, when the process is killed; `pull` is there for long downloads.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from asr.models import load

    return load(model, device=device, dtype=dtype, hub_timeout=hub_timeout)


def _transcribe(loaded: "Loaded", requests: list[Request]) -> list[Hypothesis]:
    return loaded.transcribe(requests)


def _describe(loaded: "Loaded") -> Description:
    return loaded.description
