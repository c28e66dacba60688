"""Translate between Deepgram's live messages (docs/deepgram.md) and a stream."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from asr.recognizer import TranscriptionOptionsError
from audio.clip import SAMPLE_RATE, Clip, ms_from_samples
from server.connection.protocol import IdleLimit, Message, StreamInput
from server.errors import CLOSE_INTERNAL, ClientError
from server.protocols.deepgram.audio_input import DeepgramAudioInput
from server.protocols.deepgram.live_output import DeepgramOutput
from server.protocols.deepgram.messages import (
    CloseStreamMessage,
    ConfigureMessage,
    ErrorMessage,
    FinalizeMessage,
    KeepAliveMessage,
)
from server.protocols.deepgram.options import DeepgramOptions, with_hotwords
from server.protocols.json_messages import object_from_json
from streaming.events import ChannelEvent, Event, StreamClosed
from vad.segmenter import Reason

IDLE_SECONDS: Final = 10.0
NOTE_INTERVAL: Final = SAMPLE_RATE // 10  # samples between two notes; the precision of the end of a gap
TOO_MANY_KEYTERMS: Final = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
SCHEMA: Final = frozenset({"invalid_json", "invalid_value"})


def idle_error() -> ClientError:
    """Return the error for a client that sent nothing for IDLE_SECONDS; the close reason is Deepgram's."""
    message = "The client sent no message for too long."
    return ClientError("idle_timeout", message, close=CLOSE_INTERNAL, reason="NET-0001")


IDLE_LIMIT: Final = IdleLimit(IDLE_SECONDS, idle_error)


class DeepgramProtocol:
    """Translate one session between Deepgram's messages and its stream.

    outputs: translate the events of each channel; one if the channels are mixed
    apart: whether the channels of the stream are kept apart
    """

    idle_limit = IDLE_LIMIT
    resume_support = None
    wants_revisions = False

    def __init__(
        self,
        stream: StreamInput,
        options: DeepgramOptions,
        outputs: Sequence[DeepgramOutput],
        *,
        apart: bool = False,
    ) -> None:
        self._stream = stream
        self._options = options
        self._outputs = outputs
        self._apart = apart
        self._audio = DeepgramAudioInput(options.encoding, len(outputs) if apart else None)
        self._last_note = 0
        self._is_idle = False  # the client sent nothing for IDLE_SECONDS

    def initial_messages(self) -> Sequence[Message]:
        """Return nothing: this protocol has no greeting."""
        return ()

    def receive(self, message: str | bytes) -> Sequence[Message]:
        """Apply a message and return the replies. Raises ClientError."""
        if isinstance(message, str):
            event = object_from_json(message)
            return self._handler(event)(self, event)
        if not message:  # An empty message closed a stream before CloseStream existed.
            return self._close_stream(CloseStreamMessage(type="CloseStream"))
        self._pass_on(self._audio.decode(message))
        return ()

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left for `continue_input`."""
        return self._audio.has_pending_input

    def continue_input(self) -> Sequence[Message]:
        """Apply the next part of a long message."""
        self._pass_on(self._audio.continue_input())
        return ()

    def acknowledge(self) -> Sequence[Message]:
        """Return nothing: this protocol has no acknowledgements."""
        return ()

    def finish(self, reason: Reason) -> None:
        """Pass on the samples that the decoder still holds and end the audio. Idempotent."""
        if self._stream.input_ended:
            return
        self._pass_on(self._audio.flush())
        self._is_idle = reason is Reason.NO_AUDIO
        self._stream.end(reason)

    def encode(self, event: Event) -> Sequence[Message]:
        """Return the messages for an event. An idle client gets its last final, and no Metadata."""
        if self._is_idle and isinstance(event, StreamClosed):
            return ()
        channel = event.channel if isinstance(event, ChannelEvent) else None
        return self._outputs[channel or 0].messages_of(event, self._audio.sha256)

    def wants_speakers(self, utterance: int) -> bool:
        """Return whether the client asked for speakers; channels that are kept apart have theirs already."""
        return self._options.diarized and not self._apart

    def encode_error(self, error: ClientError) -> Message:
        """Return the `Error` message."""
        return error_message(error)

    def with_sequence_number(self, message: Message, number: int) -> Message:
        """Return the message as it is: this protocol has no numbers."""
        return message

    def describe(self) -> Mapping[str, object]:
        """Return the configuration without keyterms."""
        options = self._options
        return {
            "protocol": "deepgram",
            "model": options.model,
            "language": options.session.asr.language,
            "silence_ms": options.session.vad.silence_ms,
            "utterance_end_ms": None
            if options.utterance_end is None
            else ms_from_samples(options.utterance_end),
            "interim_results": options.interim,
            "encoding": options.encoding,
            "multichannel": self._apart,
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
        self._stream.receive_audio(clip)
        if self._options.utterance_end is not None and clip.end - self._last_note >= NOTE_INTERVAL:
            self._last_note = clip.end
            self._stream.note(None)  # NoteReached follows when voice detection gets here.

    def _keep_alive(self, event: KeepAliveMessage) -> Sequence[Message]:
        return ()

    def _finalize(self, event: FinalizeMessage) -> Sequence[Message]:
        """Commit the open utterance of every channel, or of the one that the message names.

        The channel returns the marker after its final (see DeepgramOutput).
        """
        channels, channel = self._stream.channels, event.get("channel")
        if channel is not None:
            if type(channel) is not int or not 0 <= channel < len(channels):
                problem = f"`channel` must be a number from 0 to {len(channels) - 1}."
                raise ClientError("invalid_value", problem, param="channel")
            channels = channels[channel : channel + 1]
        self._pass_on(self._audio.drain())
        for stream in channels:
            stream.commit()
            stream.mark("")
        return ()

    def _close_stream(self, event: CloseStreamMessage) -> Sequence[Message]:
        self.finish(Reason.END_OF_STREAM)
        return ()

    def _configure(self, event: ConfigureMessage) -> Sequence[Message]:
        keyterms = event.get("keyterms")
        if keyterms is None:
            return [self._outputs[0].configure_success(None)]
        if not isinstance(keyterms, list) or not all(isinstance(term, str) for term in keyterms):
            raise ClientError("invalid_value", "`keyterms` must be a list of strings.", param="keyterms")
        try:
            session = with_hotwords(self._options.session, keyterms)
        except TranscriptionOptionsError as error:
            return [self._outputs[0].configure_failure(TOO_MANY_KEYTERMS, str(error))]
        self._options = replace(self._options, session=session)
        self._stream.update(session)
        return [self._outputs[0].configure_success(session.asr.hotwords)]

    # These are functions of the class: bound methods would keep each session alive until garbage collection.
    _handlers: ClassVar[Mapping[object, "Handler"]] = {
        "KeepAlive": _keep_alive,
        "Finalize": _finalize,
        "CloseStream": _close_stream,
        "Configure": _configure,
    }


Handler = Callable[[DeepgramProtocol, Any], Sequence[Message]]


def error_message(error: ClientError) -> ErrorMessage:
    variant = "SchemaError" if error.code in SCHEMA and error.close is None else error.reason
    return ErrorMessage(type="Error", variant=variant, description=error.message)
