"""The live door of Deepgram's API, ws /v1/listen: docs/deepgram.md spoken over one WebSocket."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar, Final

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo, TranscriptionOptionsError
from audio.clip import SAMPLE_RATE, Clip, ms_from_samples
from server.connection.endpoint import SessionRequest, WebSocketEndpoint
from server.connection.protocol import Message
from server.errors import CLOSE_BAD_REQUEST, ClientError
from server.http.exception_handlers import http_error_of
from server.protocols.deepgram.audio_input import DeepgramAudioInput
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata, timestamp
from server.protocols.deepgram.options import DeepgramOptions, parse_options, with_hotwords
from server.protocols.json_messages import object_from_json
from streaming.driver import StreamDriver
from streaming.events import Event
from vad.segmenter import Reason

IDLE_SECONDS: Final = 10.0
NOTE_EVERY: Final = SAMPLE_RATE // 10  # samples; how exactly the end of a gap is known
SUBPROTOCOLS: Final = ("token", "bearer")  # of browsers, which have no headers; the key is the next one
TOO_MANY_KEYTERMS: Final = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
NOT_PRINTABLE: Final = re.compile("[^ -~]")
SCHEMA: Final = frozenset({"invalid_json", "invalid_value"})


class DeepgramProtocol:
    """One connection's."""

    idle_seconds = IDLE_SECONDS
    comeback = None

    def __init__(self, pump: StreamDriver, asked: DeepgramOptions, wire: DeepgramOutput) -> None:
        self.ended = False
        self._pump = pump
        self._asked = asked
        self._wire = wire
        self._sound = DeepgramAudioInput(asked.encoding)
        self._noted = 0

    def greet(self) -> Sequence[Message]:
        return ()

    def receive(self, message: str | bytes) -> Sequence[Message]:
        if isinstance(message, str):
            event = object_from_json(message)
            return self._handler(event)(self, event)
        if not message:  # how streams were closed before there was CloseStream
            return self._close_stream({})
        self._pass_on(self._sound.decode(message))
        return ()

    @property
    def has_more(self) -> bool:
        return self._sound.has_more

    def go_on(self) -> Sequence[Message]:
        self._pass_on(self._sound.go_on())
        return ()

    def acknowledge(self) -> Sequence[Message]:
        return ()

    def finish(self, reason: Reason) -> None:
        if self.ended:
            return
        self.ended = True
        self._pass_on(self._sound.flush())
        self._pump.end(reason)

    def tell(self, event: Event) -> Sequence[Message]:
        return self._wire.messages_of(event, self._sound.sha256)

    def complain(self, error: ClientError) -> Message:
        return complaint(error)

    def stamp(self, message: Message, number: int) -> None:
        """This protocol numbers nothing."""

    def describe(self) -> Mapping[str, object]:
        asked = self._asked
        return {
            "door": "listen",
            "model": asked.model,
            "language": asked.session.asr.language,
            "silence_ms": asked.session.vad.silence_ms,
            "utterance_end_ms": None if asked.utterance_end is None else ms_from_samples(asked.utterance_end),
            "interim_results": asked.interim,
            "encoding": asked.encoding,
        }

    def _handler(self, event: Message) -> "Handler":
        kind = event.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            known = ", ".join(map(str, self._handlers))
            raise ClientError("invalid_value", f"`type` must be one of {known}.", param="type")
        return handler

    def _pass_on(self, clip: Clip | None) -> None:
        if clip is None:
            return
        self._pump.receive_audio(clip)
        if self._asked.utterance_end is not None and clip.end - self._noted >= NOTE_EVERY:
            self._noted = clip.end
            self._pump.note(None)  # comes back once this place has been judged

    def _keep_alive(self, event: Message) -> Sequence[Message]:
        return ()

    def _finalize(self, event: Message) -> Sequence[Message]:
        """The marker comes back behind what the commit ends: see ListenWire."""
        self._pass_on(self._sound.drain())
        self._pump.commit()
        self._pump.mark("")
        return ()

    def _close_stream(self, event: Message) -> Sequence[Message]:
        self.finish(Reason.END_OF_STREAM)
        return ()

    def _configure(self, event: Message) -> Sequence[Message]:
        keyterms = event.get("keyterms")
        if keyterms is None:
            return [self._wire.configured(None)]
        if not isinstance(keyterms, list) or not all(isinstance(term, str) for term in keyterms):
            raise ClientError("invalid_value", "`keyterms` must be a list of strings.", param="keyterms")
        try:
            session = with_hotwords(self._asked.session, keyterms)
        except TranscriptionOptionsError as error:
            return [self._wire.not_configured(TOO_MANY_KEYTERMS, str(error))]
        self._asked = replace(self._asked, session=session)
        self._pump.update(session)
        return [self._wire.configured(session.asr.hotwords)]

    # Of the class: bound ones would keep each session alive after its end, until the garbage is collected.
    _handlers: ClassVar[Mapping[object, "Handler"]] = {
        "KeepAlive": _keep_alive,
        "Finalize": _finalize,
        "CloseStream": _close_stream,
        "Configure": _configure,
    }


Handler = Callable[[DeepgramProtocol, Message], Sequence[Message]]


class DeepgramLiveEndpoint(WebSocketEndpoint):
    """ws /v1/listen."""

    def subprotocol(self, websocket: WebSocket) -> str | None:
        offered = websocket.scope.get("subprotocols", ())
        return next((name for name in offered if name in SUBPROTOCOLS), None)

    def check(self, websocket: WebSocket) -> None:
        """What the URL has wrong is told before the handshake is over, as Deepgram does."""
        super().check(websocket)
        self.open(websocket)

    def denial(self, error: ClientError) -> JSONResponse:
        told = http_error_of(error)
        answer = {"err_code": error.code.upper(), "err_msg": error.message}
        said = NOT_PRINTABLE.sub("?", error.message)  # it may quote the URL, and a header is one line
        return JSONResponse(answer, told.status, told.headers | {"dg-error": said})

    def open(self, websocket: WebSocket) -> SessionRequest:
        asked = parse_options(websocket.query_params.multi_items(), self.settings.session_options())
        if asked.coding is not None:
            message = f"encoding={asked.coding[:50]} cannot be read live; bare samples or a wav can."
            raise ClientError("invalid_value", message, param="encoding", close=CLOSE_BAD_REQUEST)
        recognizers = self.engine.recognizers
        recognizer = recognizers.resolve(asked.model or "") or recognizers.default

        def dialect(name: str, pump: StreamDriver, description: ModelInfo) -> DeepgramProtocol:
            wire = DeepgramOutput(asked, ModelMetadata.of(description), name, timestamp(datetime.now(UTC)))
            return DeepgramProtocol(pump, asked, wire)

        return SessionRequest(recognizer, asked.session, dialect)

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return complaint(error)


def complaint(error: ClientError) -> Message:
    variant = "SchemaError" if error.code in SCHEMA and error.close is None else error.reason
    return {"type": "Error", "variant": variant, "description": error.message}
