"""Serve /v1/documents: make subtitles and documents of a transcript that the client sends."""

from contextlib import aclosing
from typing import Final

from fastapi import APIRouter, Request, Response

from server.admission.controller import AdmissionController
from server.errors import ApiError, ClientError
from server.http.exception_handlers import http_error_of
from server.http.upload import Body, media_type_of
from server.protocols.document_formats import DocumentFormat, write_document
from server.protocols.documents import openapi
from server.protocols.documents.request import parse_transcript
from server.protocols.openapi_schemas import TYPES
from streaming.threads import run_in_thread_to_completion

MAX_BYTES: Final = 8 << 20  # of the JSON: about 20 hours of speech with the times of words
MAX_AT_ONCE: Final = 2  # documents; each needs some hundred MB if it has MAX_BYTES


class DocumentsEndpoint:
    """Make documents of transcripts; nothing is stored.

    documents: the admission of requests
    """

    def __init__(self, documents: AdmissionController) -> None:
        self._documents = documents

    def router(self) -> APIRouter:
        """Return the route of /v1/documents."""
        router = APIRouter(tags=["documents"])

        @router.post("/v1/documents", **openapi.CREATE)
        async def create(request: Request, format: DocumentFormat) -> Response:
            """Return the transcript of the body as a document or as subtitles."""
            return await self._create(request, format)

        return router

    async def _create(self, request: Request, format: DocumentFormat) -> Response:
        def make(content: bytes) -> Response:
            document, media_type = write_document(parse_transcript(content), format)
            return Response(document, media_type=media_type)

        async with Body(request, MAX_BYTES) as body:
            try:
                with self._documents.admit():
                    if media_type_of(request) != TYPES["json"]:
                        raise ApiError(415, "The body must be application/json.")
                    content = bytearray()
                    async with aclosing(body.chunks(MAX_BYTES)) as chunks:
                        async for chunk in chunks:
                            content += chunk
                    return await run_in_thread_to_completion(make, bytes(content))
            except ClientError as error:
                raise http_error_of(error) from None
        raise AssertionError("unreachable")  # no context here swallows an exception
