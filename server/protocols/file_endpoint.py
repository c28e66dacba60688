"""Provide the base of HTTP endpoints that transcribe a file, for any protocol."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import IO, Final

from fastapi import APIRouter, Request

from asr.recognizer import ModelInfo
from downloads.errors import DownloadError, FileTooLarge
from engine.engine import Engine
from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import FileTranscriber, TimeRange
from engine.model_pool import ModelNotReady
from postprocessing.summary import Summarizer
from postprocessing.summary_types import Chapters, Summary
from server.admission.controller import AdmissionController
from server.admission.quotas import UsageMeter
from server.errors import (
    ClientError,
    as_rate_limit,
    invalid,
    missing,
    model_unavailable,
    models_not_ready,
    restarting,
    too_large,
)
from server.http.exception_handlers import http_error_of
from server.observability.metrics import Metrics
from server.settings import Settings
from streaming.model_clients import ModelClients
from transcripts.transcript import Transcript, passages_of

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 60.0  # maximum wait for a model that is being loaded


class FileEndpoint(ABC):
    """Handle admission, download, models and shutdown of requests with a file.

    A protocol derives from it: it reads the request, uses these parts, and writes the response.

    files: the admission of files that are uploaded or transcribed
    load_seconds: how long a request waits for a model that is being loaded
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        files: AdmissionController,
        metrics: Metrics,
        load_seconds: float = LOAD_SECONDS,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._files = files
        self._metrics = metrics
        self._load_seconds = load_seconds
        self._fetch = _url_download() if settings.fetch_urls else None

    @abstractmethod
    def router(self) -> APIRouter:
        """Return the routes of the protocol."""

    def _admit(self, stack: AsyncExitStack, request: Request) -> UsageMeter:
        """Count the request against all limits until the stack is left; return the meter of its key.

        Raises ApiError while the server stops, and if a limit is reached.
        """
        try:
            self._files.check(request.scope)
            stack.enter_context(self._files.admit())
            return stack.enter_context(self._files.policy.track_usage(request.scope))
        except ClientError as error:
            raise http_error_of(as_rate_limit(error)) from None

    async def _download(self, stack: AsyncExitStack, url: str | None) -> IO[bytes]:
        """Download the file at `url` and keep it until the stack is left. Raises ApiError."""
        if url is None:
            raise missing("file")
        if self._fetch is None:
            message = (
                "This server does not download files: send the file itself. "
                "Its operator can allow downloads with FETCH_URLS=true."
            )
            raise invalid(message, "url", "remote_content_error")
        private, limit = self._settings.fetch_private, self._settings.max_upload_bytes
        try:
            return await stack.enter_async_context(self._fetch(url, limit, private=private))
        except FileTooLarge as error:
            raise too_large(error.limit, error.size) from None
        except DownloadError as error:
            raise invalid(error.message, "url", error.code) from None

    async def _acquire_models(self, stack: AsyncExitStack, asked: str) -> tuple[ModelClients, ModelInfo]:
        """Acquire the models until the stack is left: those of the name, or the default for an unknown name.

        Raises ApiError if they cannot be used or are not loaded in time.
        """
        recognizers = self._engine.recognizers
        name = recognizers.resolve(asked) or recognizers.default
        try:
            async with asyncio.timeout(self._load_seconds):
                return await stack.enter_async_context(self._engine.acquire(name))
        except TimeoutError:
            error = models_not_ready(f"The model {name} is still being loaded.")
        except ModelNotReady as why:
            log.info("model.unavailable model=%s reason=%s", name, why)
            error = model_unavailable(f"The model {name} cannot be used now: /ready says why.")
            if not self._engine.ready:
                error = models_not_ready()
        raise http_error_of(error)

    def _transcriber(
        self,
        file: IO[bytes],
        meter: UsageMeter,
        track: int | None,
        within: TimeRange,
        diarization: DiarizationOptions | None = None,
        *,
        multichannel: bool = False,
    ) -> FileTranscriber:
        """Return the transcriber of a part of one track of a file, whose audio is counted by `meter`.

        diarization: how speakers are distinguished; None if they are not
        multichannel: whether the channels are transcribed apart
        """
        return FileTranscriber(
            file,
            max_seconds=self._settings.max_file_seconds,
            track=track,
            within=within,
            on_samples_read=meter.count,
            on_event=self._metrics.observe_event,
            diarization=diarization,
            multichannel=multichannel,
        )

    async def _summarize(self, transcript: Transcript) -> Summary:
        """Return a summary of the transcript, by the configured model or of chosen sentences."""
        summarizer = self._summarizer()
        return await summarizer.summarize([each.hypothesis.text for each in transcript.segments])

    async def _divide(self, transcript: Transcript) -> Chapters:
        """Return the chapters of the transcript, by the configured model."""
        return await self._summarizer().chapters(passages_of(transcript.segments))

    def _summarizer(self) -> Summarizer:
        return Summarizer(self._settings.summary_endpoint())

    @contextmanager
    def _answered_at_shutdown(self) -> Iterator[None]:
        """Turn a cancellation by the shutdown of the server into an ApiError, so that it is answered."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._files.draining or task is None:
                raise
            task.uncancel()
            raise http_error_of(restarting()) from None


def _url_download() -> Callable[..., AbstractAsyncContextManager[IO[bytes]]]:
    """Return the function that downloads a file; importing its httpx takes a tenth of a second."""
    from downloads.download import download

    return download
