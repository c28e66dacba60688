"""Serve Deepgram's live API (docs/deepgram.md) over the WebSocket /v1/listen."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from server.connection.endpoint import SessionRequest, WebSocketEndpoint
from server.connection.protocol import StreamInput
from server.errors import CLOSE_BAD_REQUEST, ClientError
from server.http.exception_handlers import http_error_of
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata, timestamp
from server.protocols.deepgram.live_protocol import DeepgramProtocol, error_message
from server.protocols.deepgram.messages import RequestError, error_code
from server.protocols.deepgram.options import parse_options

# Browsers cannot set headers: they offer one of these subprotocols, followed by the key as the next one.
SUBPROTOCOLS: Final = ("token", "bearer")
NOT_PRINTABLE: Final = re.compile("[^ -~]")


class DeepgramLiveEndpoint(WebSocketEndpoint):
    """Serve the WebSocket /v1/listen."""

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
        options = parse_options(websocket.query_params.multi_items(), self.settings.session_options())
        if options.unsupported_encoding is not None:
            name = options.unsupported_encoding[:50]
            message = f"encoding={name} cannot be read live; bare samples or a wav can."
            raise ClientError("invalid_value", message, param="encoding", close=CLOSE_BAD_REQUEST)
        recognizers = self.engine.recognizers
        recognizer = recognizers.resolve(options.model or "") or recognizers.default

        def protocol(name: str, stream: StreamInput, description: ModelInfo) -> DeepgramProtocol:
            output = DeepgramOutput(
                options, ModelMetadata.of(description), name, timestamp(datetime.now(UTC))
            )
            return DeepgramProtocol(stream, options, output)

        return SessionRequest(recognizer, options.session, protocol)

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return error_message(error)
