"""The REST doors of OpenAI's audio API: docs/rest.md spoken over HTTP."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import IO, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from asr.hypothesis import Description
from asr.transcript import Segment
from server.accounts import Meter
from server.admission import Admission
from server.disconnect import cancel_on_disconnect
from server.engine import Engine
from server.errors import ClientError, in_openai_words, model_unavailable, models_not_ready, restarting
from server.exception_handlers import http_error_of
from server.fetch import fetched
from server.file_work import FileWork
from server.http_error import HttpError, invalid, missing
from server.logs import session_id
from server.metrics import Metrics
from server.recognizers import Unavailable
from server.request_id import REQUEST_ID
from server.rest_answer import Told, render
from server.rest_request import Asked, transcription_of, translation_of
from server.rest_schema import TRANSCRIPTION, TRANSLATION
from server.settings import Settings
from server.sse import EventStream
from server.upload import Body, Upload, received
from stream.models import Models
from stream.options import SessionOptions

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 60.0  # that a client waits for a model that loads
MODEL_HEADER: Final = "x-model"  # of an answer: which model did the work

Read = Callable[[Iterable[tuple[str, object]], SessionOptions], Asked]


class RestDoor:
    """What all requests with a file share. files: those that are taken in or transcribed."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        files: Admission,
        metrics: Metrics,
        load_seconds: float = LOAD_SECONDS,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._files = files
        self._metrics = metrics
        self._load_seconds = load_seconds

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/audio", tags=["audio"])

        @router.post("/transcriptions", **TRANSCRIPTION)
        async def transcribe(request: Request) -> Response:
            """Writes down what is said in a file of sound or video."""
            return await self._serve(request, transcription_of)

        @router.post("/translations", **TRANSLATION)
        async def translate(request: Request) -> Response:
            """Writes down in English what is said in a file; with a model that can."""
            return await self._serve(request, translation_of)

        return router

    async def _serve(self, request: Request, read: Read) -> Response:
        session_id.set(request.scope[REQUEST_ID])
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(Body(request, self._settings.max_upload_bytes))
            meter = self._admit(stack, request)
            upload = await stack.enter_async_context(received(request, body))
            asked = read(upload.fields, self._settings.session_options())
            async with cancel_on_disconnect(request.receive):
                with self._told_of_the_end():
                    return await self._work(stack, asked, upload, meter)
        raise AssertionError("unreachable")  # no context here swallows an exception

    def _admit(self, stack: AsyncExitStack, request: Request) -> Meter:
        """Raises HttpError while the models are not there, the server stops, or there is no place."""

        def finish() -> None:
            """What has begun goes on: there is no more sound to wait for."""

        try:
            if not self._engine.ready:
                raise models_not_ready()
            self._files.check(request.scope)
            stack.enter_context(self._files.admit(finish))
            return stack.enter_context(self._files.limits.account(request.scope))
        except ClientError as error:
            raise http_error_of(in_openai_words(error)) from None

    async def _work(self, stack: AsyncExitStack, asked: Asked, upload: Upload, meter: Meter) -> Response:
        file = upload.file or await self._fetch(stack, asked.url)
        work = FileWork(file, self._settings.max_file_seconds, meter)
        await work.check()
        models, description = await self._borrow(stack, asked.model)
        if asked.task == "translate" and not description.translates:
            raise invalid(f"The model {description.model} cannot translate.", "model", "unsupported_value")
        log.info("a file for %s: %s", description.model, asked.format)
        headers = {MODEL_HEADER: quote(description.model, safe="/")}
        segments = work.listen(models, asked.session, self._metrics)
        if asked.stream:
            events = self._events(asked, work, segments, description.model)
            timeout = self._settings.send_timeout_seconds
            return EventStream(events, stack.pop_all(), headers=headers, send_timeout=timeout)
        async with aclosing(segments):
            async for _ in segments:
                pass
        content, media_type = render(asked, work.transcript(description.model), work.seconds)
        return Response(content, media_type=media_type, headers=headers)

    async def _fetch(self, stack: AsyncExitStack, url: str | None) -> IO[bytes]:
        """The file that lies there, until the stack is left. Raises HttpError."""
        if url is None:
            raise missing("file")
        if not self._settings.fetch_urls:
            message = "This server fetches nothing: send the file itself."
            raise invalid(message, "url", "remote_content_error")
        private, limit = self._settings.fetch_private, self._settings.max_upload_bytes
        return await stack.enter_async_context(fetched(url, limit, private=private))

    async def _events(
        self, asked: Asked, work: FileWork, segments: AsyncGenerator[Segment, None], model: str
    ) -> AsyncGenerator[bytes, None]:
        told = Told(asked)
        try:
            with self._told_of_the_end():
                async with aclosing(segments):
                    async for segment in segments:
                        yield told.segment(segment)
        except HttpError as error:
            log.info("told the client: %s", error)
            yield told.error(error)
        else:
            yield told.done(work.transcript(model), work.seconds)

    async def _borrow(self, stack: AsyncExitStack, asked: str) -> tuple[Models, Description]:
        """The models, until the stack is left: those of the name, or the default for any other name.

        Raises HttpError.
        """
        recognizers = self._engine.recognizers
        name = recognizers.resolve(asked) or recognizers.default
        try:
            async with asyncio.timeout(self._load_seconds):
                return await stack.enter_async_context(self._engine.borrow(name))
        except TimeoutError:
            error = models_not_ready(f"The model {name} is still being loaded.")
        except Unavailable as why:
            log.info("cannot lend %s: %s", name, why)
            error = model_unavailable(f"The model {name} cannot be used now: /ready says why.")
        raise http_error_of(error)

    @contextmanager
    def _told_of_the_end(self) -> Iterator[None]:
        """Work that is cut off since the server stops is answered all the same."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._files.draining or task is None:
                raise
            task.uncancel()
            raise http_error_of(restarting()) from None
