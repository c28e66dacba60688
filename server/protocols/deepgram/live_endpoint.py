"""Serve Deepgram's live API (docs/deepgram.md) over the WebSocket /v1/listen."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import ClassVar, Final

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from audio.codecs import Encoding
from audio.errors import AudioError
from audio.wav_header import MAX_HEADER, read_header
from server.connection.endpoint import SessionRequest, WebSocketEndpoint
from server.connection.protocol import StreamInput
from server.connection.websocket import BoundedWebSocket, WebSocketClosed
from server.errors import CLOSE_BAD_REQUEST, ClientError, restarting
from server.http.exception_handlers import http_error_of
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata, timestamp
from server.protocols.deepgram.live_protocol import (
    IDLE_SECONDS,
    DeepgramProtocol,
    error_message,
    idle_error,
)
from server.protocols.deepgram.messages import RequestError, error_code
from server.protocols.deepgram.options import DeepgramOptions, parse_options
from server.protocols.json_messages import object_from_json

# Browsers cannot set headers: they offer one of these subprotocols, followed by the key as the next one.
SUBPROTOCOLS: Final = ("token", "bearer")
NOT_PRINTABLE: Final = re.compile("[^ -~]")


def _ends_audio(message: str | bytes) -> bool:
    """Return whether no audio follows a message."""
    if isinstance(message, bytes):
        return not message
    with suppress(ClientError):
        return object_from_json(message).get("type") == "CloseStream"
    return False


class DeepgramLiveEndpoint(WebSocketEndpoint):
    """Serve the WebSocket /v1/listen.

    header_seconds: the longest wait for the header of a wav that says how many channels are kept apart
    """

    header_seconds: ClassVar[float] = IDLE_SECONDS

    def subprotocol(self, websocket: WebSocket) -> str | None:
        offered = websocket.scope.get("subprotocols", ())
        return next((name for name in offered if name in SUBPROTOCOLS), None)

    def check(self, websocket: WebSocket) -> None:
        """Reject a bad URL before the handshake is complete, as Deepgram does."""
        super().check(websocket)
        self.open(websocket)

    def denial(self, error: ClientError) -> JSONResponse:
        http_error = http_error_of(error)
        answer = RequestError(err_code=error_code(error.code), err_msg=error.message)
        # The message may quote the URL, and a header must be one printable line.
        header = NOT_PRINTABLE.sub("?", error.message)
        return JSONResponse(answer, http_error.status, http_error.headers | {"dg-error": header})

    def open(self, websocket: WebSocket) -> SessionRequest:
        options = self._options(websocket)
        return self._request(options, options.encoding)

    async def open_connected(self, websocket: WebSocket, socket: BoundedWebSocket) -> SessionRequest:
        """Read the handshake, and the wav header if it says how many channels are to be kept apart."""
        options = self._options(websocket)
        encoding = options.encoding
        if options.multichannel and encoding is None:
            encoding = await self._read_header(socket)
        return self._request(options, encoding)

    async def _read_header(self, socket: BoundedWebSocket) -> Encoding | None:
        """Return what the header of the client's wav says; None if there is none that can be read.

        A client counts as a stream meanwhile. Raises ClientError.
        """
        loop, head, size = asyncio.get_running_loop(), b"", 0
        try:
            async with asyncio.timeout(self.header_seconds) as limit, aclosing(socket.peek()) as messages:
                with self.admission.admit(lambda: limit.reschedule(loop.time())):
                    async for message in messages:
                        head += message if isinstance(message, bytes) else b""
                        if (found := read_header(head)) is not None:
                            return found[0]
                        size += len(message)
                        if size > 2 * MAX_HEADER or _ends_audio(message):
                            return None
        except TimeoutError:
            raise restarting() if self.admission.draining else idle_error() from None
        except AudioError:  # the session reports it
            return None
        raise WebSocketClosed

    def _options(self, websocket: WebSocket) -> DeepgramOptions:
        options = parse_options(websocket.query_params.multi_items(), self.settings.session_options())
        if options.unsupported_encoding is not None:
            name = options.unsupported_encoding[:50]
            message = f"encoding={name} cannot be read live; bare samples or a wav can."
            raise ClientError("invalid_value", message, param="encoding", close=CLOSE_BAD_REQUEST)
        return options

    def _request(self, options: DeepgramOptions, encoding: Encoding | None) -> SessionRequest:
        """Return the request of a session. encoding: of its audio; None if it is not known."""
        channels = None
        if options.multichannel:
            channels = 1 if encoding is None else encoding.channels
        recognizers = self.engine.recognizers
        recognizer = recognizers.resolve(options.model or "") or recognizers.default

        def protocol(name: str, stream: StreamInput, description: ModelInfo) -> DeepgramProtocol:
            created, model, count = timestamp(datetime.now(UTC)), ModelMetadata.of(description), channels or 1
            outputs = [DeepgramOutput(options, model, name, created, (n, count)) for n in range(count)]
            return DeepgramProtocol(stream, options, outputs, apart=channels is not None)

        return SessionRequest(recognizer, options.session, protocol, channels=channels)

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return error_message(error)
