"""Summarize a transcript with a language model behind an OpenAI-compatible endpoint, or without one."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final

from postprocessing.chapters import (
    ChaptersRefused,
    check_order,
    most_chapters,
    read_chapters,
    timed_lines,
)
from postprocessing.chat import Chat, ChatFailed, OnDelta
from postprocessing.extractive import extractive_summary
from postprocessing.summary_messages import (
    MAX_PARTS,
    chapter_messages,
    notes_messages,
    part_messages,
    parts_of,
    whole_messages,
)
from postprocessing.summary_types import Chapter, Chapters, Passage, Summary, SummaryEndpoint

log = logging.getLogger(__name__)

TOTAL_SECONDS: Final = 600.0
MAX_TOKENS: Final = 600  # of one answer
MAX_CHAPTER_TOKENS: Final = 800  # of one answer with chapters
MIN_CHAPTERS: Final = 2  # A recording that may have fewer has none.
CONCURRENT_REQUESTS: Final = 2  # of one summary


class Summarizer:
    """Write summaries.

    endpoint: None if sentences are to be chosen
    total_seconds: how long one summary may take
    """

    def __init__(self, endpoint: SummaryEndpoint | None, total_seconds: float = TOTAL_SECONDS) -> None:
        self._endpoint = endpoint
        self._total_seconds = total_seconds

    async def summarize(self, texts: Sequence[str], on_delta: OnDelta | None = None) -> Summary:
        """Return the summary of a transcript, whose segments are `texts`.

        If the endpoint fails, sentences are chosen, and `reason` says why.

        on_delta: called with each piece that the model writes; the text of the summary replaces them
        """
        if self._endpoint is None or not any(text.strip() for text in texts):
            return await self._chosen(texts)
        try:
            async with asyncio.timeout(self._total_seconds):
                written = await self._written(self._endpoint, texts, on_delta)
        except TimeoutError:
            reason = f"the summary took more than {self._total_seconds:g} s"
        except ChatFailed as error:
            reason = str(error)
        else:
            return Summary(written, "model", self._endpoint.model)
        log.warning("summary.failed model=%s reason=%r", self._endpoint.model, reason)
        return await self._chosen(texts, reason)

    async def chapters(self, passages: Sequence[Passage]) -> Chapters:
        """Return the chapters of a transcript, whose segments are `passages`, in order of time.

        There are none if there is no endpoint, if it fails or writes anything else, or if the recording is
        short. `reason` says why.
        """
        spoken = [each for each in passages if each.text.strip()]
        most = most_chapters(spoken)
        if most < MIN_CHAPTERS:
            return Chapters((), reason="the recording is shorter than two minutes")
        if self._endpoint is None:
            return Chapters((), reason="chapters need a language model (SUMMARY_URL)")
        try:
            async with asyncio.timeout(self._total_seconds):
                items = await self._divided(self._endpoint, spoken, most)
        except TimeoutError:
            reason = f"the chapters took more than {self._total_seconds:g} s"
        except (ChatFailed, ChaptersRefused) as error:
            reason = str(error)
        else:
            return Chapters(tuple(items), self._endpoint.model)
        log.warning("chapters.failed model=%s reason=%r", self._endpoint.model, reason)
        return Chapters((), reason=reason)

    async def _divided(
        self, endpoint: SummaryEndpoint, spoken: Sequence[Passage], most: int
    ) -> list[Chapter]:
        """Return the chapters that the model writes, part by part. Raises ChatFailed and ChaptersRefused."""
        parts = parts_of(timed_lines(spoken))
        if len(parts) > most:
            raise ChatFailed(
                f"the transcript has {len(parts)} parts; chapters of at most {most} are asked for"
            )
        mark = f"transcript-{secrets.token_hex(8)}"
        share = most // len(parts)  # of each part, so that there are not too many in all
        items: list[Chapter] = []
        async with Chat(endpoint) as chat:
            for number, part in enumerate(parts, 1):
                asked = chapter_messages(part, number, len(parts), share, mark)
                items += read_chapters(await chat.answer(asked, MAX_CHAPTER_TOKENS), spoken, share)
        check_order(items)
        return items

    async def _chosen(self, texts: Sequence[str], reason: str | None = None) -> Summary:
        return Summary(await asyncio.to_thread(extractive_summary, texts), "extractive", reason=reason)

    async def _written(
        self, endpoint: SummaryEndpoint, texts: Sequence[str], on_delta: OnDelta | None
    ) -> str:
        """Return the summary that the model writes, of all parts. Raises ChatFailed."""
        parts = parts_of(texts)
        if len(parts) > MAX_PARTS:
            raise ChatFailed(f"the transcript has {len(parts)} parts; at most {MAX_PARTS} are sent")
        mark = f"transcript-{secrets.token_hex(8)}"
        async with Chat(endpoint) as chat:
            if len(parts) == 1:
                return await chat.answer(whole_messages(parts[0], mark), MAX_TOKENS, on_delta)
            slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

            async def note(number: int, part: str) -> str:
                async with slots:
                    return await chat.answer(part_messages(part, number, len(parts), mark), MAX_TOKENS)

            notes = await _all([note(number, part) for number, part in enumerate(parts, 1)])
            return await chat.answer(notes_messages(notes, mark), MAX_TOKENS, on_delta)


async def _all(requests: Sequence[Any]) -> list[str]:
    """Return all answers in order; the first failure cancels the other requests."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in requests]
    except* ChatFailed as failures:
        raise ChatFailed(str(failures.exceptions[0])) from None
    return [task.result() for task in tasks]
