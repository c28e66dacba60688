"""Summarize a transcript with a language model behind an OpenAI-compatible endpoint, or without one."""

import asyncio
import logging
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

import httpx
import orjson

from postprocessing.extractive import extractive_summary
from postprocessing.summary_messages import (
    MAX_PARTS,
    Message,
    notes_messages,
    part_messages,
    parts_of,
    whole_messages,
)
from postprocessing.summary_types import Summary, SummaryEndpoint

log = logging.getLogger(__name__)

REQUEST_SECONDS: Final = 120.0
TOTAL_SECONDS: Final = 600.0
MAX_TOKENS: Final = 600  # of one answer
MAX_ANSWER_BYTES: Final = 1 << 20
CONCURRENT_REQUESTS: Final = 2  # of one summary

_THOUGHTS: Final = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)  # Some local models write them first.


class SummaryFailed(Exception):
    """The endpoint did not give a summary."""


class Summarizer:
    """Write summaries.

    endpoint: None if sentences are to be chosen
    total_seconds: how long one summary may take
    """

    def __init__(self, endpoint: SummaryEndpoint | None, total_seconds: float = TOTAL_SECONDS) -> None:
        self._endpoint = endpoint
        self._total_seconds = total_seconds

    async def summarize(self, texts: Sequence[str]) -> Summary:
        """Return the summary of a transcript, whose segments are `texts`.

        If the endpoint fails, sentences are chosen, and `reason` says why.
        """
        if self._endpoint is None or not any(text.strip() for text in texts):
            return await self._chosen(texts)
        try:
            async with asyncio.timeout(self._total_seconds):
                written = await self._written(self._endpoint, texts)
        except TimeoutError:
            reason = f"the summary took more than {self._total_seconds:g} s"
        except SummaryFailed as error:
            reason = str(error)
        else:
            return Summary(written, "model", self._endpoint.model)
        log.warning("summary.failed model=%s reason=%r", self._endpoint.model, reason)
        return await self._chosen(texts, reason)

    async def _chosen(self, texts: Sequence[str], reason: str | None = None) -> Summary:
        return Summary(await asyncio.to_thread(extractive_summary, texts), "extractive", reason=reason)

    async def _written(self, endpoint: SummaryEndpoint, texts: Sequence[str]) -> str:
        """Return the summary that the model writes, of all parts. Raises SummaryFailed."""
        parts = parts_of(texts)
        if len(parts) > MAX_PARTS:
            raise SummaryFailed(f"the transcript has {len(parts)} parts; at most {MAX_PARTS} are sent")
        mark = f"transcript-{secrets.token_hex(8)}"
        headers = {"authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        async with httpx.AsyncClient(headers=headers, timeout=REQUEST_SECONDS) as client:
            if len(parts) == 1:
                return await _answer(client, endpoint, whole_messages(parts[0], mark))
            slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

            async def note(number: int, part: str) -> str:
                async with slots:
                    return await _answer(client, endpoint, part_messages(part, number, len(parts), mark))

            notes = await _all([note(number, part) for number, part in enumerate(parts, 1)])
            return await _answer(client, endpoint, notes_messages(notes, mark))


async def _all(requests: Sequence[Any]) -> list[str]:
    """Return all answers in order; the first failure cancels the other requests."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in requests]
    except* SummaryFailed as failures:
        raise SummaryFailed(str(failures.exceptions[0])) from None
    return [task.result() for task in tasks]


async def _answer(client: httpx.AsyncClient, endpoint: SummaryEndpoint, messages: list[Message]) -> str:
    """Return what the model writes. Raises SummaryFailed, whose text holds nothing of the transcript."""
    body = {"model": endpoint.model, "messages": messages, "max_tokens": MAX_TOKENS, "temperature": 0}
    try:
        async with client.stream("POST", f"{endpoint.url.rstrip('/')}/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                raise SummaryFailed(f"the endpoint answered with status {answer.status_code}")
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise SummaryFailed("the answer of the endpoint is too long")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SummaryFailed(f"the endpoint cannot be used: {type(error).__name__}") from None
    try:
        text = orjson.loads(content)["choices"][0]["message"]["content"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        text = None
    if not isinstance(text, str) or not (written := _THOUGHTS.sub("", text).strip()):
        raise SummaryFailed("the endpoint gave no text")
    return written
