"""Turn a client's messages in the native protocol into commands to its stream, without I/O."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from audio.clip import SAMPLE_RATE, Clip, Samples, samples_from_ms
from audio.codecs import Encoding
from audio.decoder import Decoder
from audio.errors import AudioError
from server.connection.protocol import StreamInput
from server.errors import ClientError
from server.protocols.json_messages import (
    Message,
    audio_of,
    event_id_of,
    handler_of,
    incomplete_sample_error,
    object_from_json,
)
from server.protocols.native.messages import AudioAcknowledgedMessage, SessionUpdatedMessage
from server.protocols.native.session_config import ConfigReached, SessionConfig, parse_update
from streaming.stream_speakers import ReferenceClip, SpeakersNamed
from vad.segmenter import Reason

APPEND: Final = "input_audio_buffer.append"
ACKNOWLEDGED: Final = "input_audio_buffer.acknowledged"
Reply = AudioAcknowledgedMessage | SessionUpdatedMessage
UNACKNOWLEDGED_SAMPLES: Final = 2 * SAMPLE_RATE  # that may wait for the next periodic acknowledgement
ENCODING_FIELDS: Final = frozenset({"format", "sample_rate", "channels"})
TURN_MODEL_UNAVAILABLE: Final = (
    "This server has no end-of-turn model. Its operator can install the extra `turn` and run "
    "`./entrypoint.sh pull smart-turn-v3.2`."
)
MAX_MARKER: Final = 256  # characters of a marker's id


class NativeInput:
    """Apply one session's messages to its stream.

    config: as the client last changed it
    commands: number of the session's messages so far that were not audio, refused ones included
    """

    def __init__(self, stream: StreamInput, config: SessionConfig, commands: int = 0) -> None:
        self.config = config
        self.commands = commands
        self._stream = stream
        self._decoder = Decoder(stream.received, config.apart)
        self._acknowledged = stream.received  # samples

    def receive(self, message: str | bytes) -> Reply | None:
        """Apply a message; return the reply, if there is one. Raises ClientError."""
        event: Message = {}
        try:
            if isinstance(message, bytes):
                return self._decode(message, self.config.encoding)
            try:
                event = object_from_json(message)
            except ClientError:
                self.commands += 1
                raise
            if event.get("type") == APPEND:  # nearly every message
                usual = ENCODING_FIELDS.isdisjoint(event)
                return self._decode(
                    audio_of(event), self.config.encoding if usual else self._encoding_of(event)
                )
            self.commands += 1
            return handler_of(event, self._handlers)(self, event)
        except AudioError as error:
            event_id = event_id_of(event)
            raise ClientError(error.code, str(error), param=error.param, event_id=event_id) from None
        except ClientError as error:
            error.event_id = event_id_of(event)
            raise

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left: `continue_input` comes before the next one."""
        return self._decoder.has_pending

    def continue_input(self) -> AudioAcknowledgedMessage | None:
        """Apply the next part of a long message; return the reply, if there is one."""
        return self._receive_clip(self._decoder.continue_decoding())

    @property
    def received_ms(self) -> int:
        """Whole milliseconds of audio that were received, rounded down."""
        return self._stream.received * 1000 // SAMPLE_RATE

    def acknowledge(self) -> AudioAcknowledgedMessage | None:
        """Return how much audio was received, if the client subscribed to that and does not know it yet."""
        received = self._stream.received
        if received == self._acknowledged or self.ended or ACKNOWLEDGED not in self.config.events:
            return None
        self._acknowledged = received
        return AudioAcknowledgedMessage(type=ACKNOWLEDGED, received_ms=self.received_ms)

    @property
    def ended(self) -> bool:
        """Whether no more audio is accepted."""
        return self._stream.input_ended

    def drain(self) -> None:
        """Take in what the decoder still holds; audio may follow it."""
        if not self.ended:
            self._pass_on(self._decoder.drain())

    def pause(self) -> None:
        """Prepare for a client that was disconnected and will continue from `received_ms`.

        Samples of the last millisecond that the client sends again are left out. A partial frame is dropped.
        """
        if not self.ended:
            self._pass_on(self._decoder.flush())
            self._decoder.repeat(self._stream.received - samples_from_ms(self.received_ms))
            self._acknowledged = self._stream.received  # the client learns of it when it resumes

    def replay_audio(self, samples: Samples) -> None:
        """Take recorded audio again."""
        self._stream.receive_audio(Clip(samples, self._decoder.position))
        self._decoder.position += len(samples)
        self._acknowledged = self._stream.received

    def finish(self, reason: Reason) -> None:
        """End the audio behind what the decoder still holds. Idempotent.

        Raises ClientError if bytes are left over that make no sample; the audio is ended all the same.
        """
        if self.ended:
            return
        self._pass_on(self._decoder.flush())
        self._stream.end(reason)
        if self._decoder.leftover:
            raise incomplete_sample_error(self._decoder.leftover)

    def _encoding_of(self, event: Message) -> Encoding:
        """Return the message's own encoding on top of the session's. Raises AudioError."""
        default = self.config.encoding
        form = event.get("format", default.format)
        rate = event.get("sample_rate", default.sample_rate)
        channels = event.get("channels", default.channels)
        said = form == default.format and rate == default.sample_rate and channels == default.channels
        if said and type(rate) is type(channels) is int:
            return default  # the usual case needs no checks
        return Encoding(form, rate, channels)

    def _decode(self, data: bytes, encoding: Encoding) -> AudioAcknowledgedMessage | None:
        decoder = self._decoder
        reply = self._receive_clip(decoder.decode(data, encoding))
        if decoder.leftover:  # whole samples are in the stream; only a partial one is lost
            raise incomplete_sample_error(decoder.leftover)
        return reply

    def _receive_clip(self, clip: Clip | None) -> AudioAcknowledgedMessage | None:
        """Return the acknowledgement if so much audio arrived at once that it is due."""
        if clip is not None:
            self._stream.receive_audio(clip)
        # The decoder's position is the end of the clip, so of what the stream has received.
        due = self._decoder.position - self._acknowledged >= UNACKNOWLEDGED_SAMPLES
        return self.acknowledge() if due and ACKNOWLEDGED in self.config.events else None

    def _pass_on(self, clip: Clip | None) -> None:
        if clip is not None:
            self._stream.receive_audio(clip)

    def _commit(self, event: Message) -> None:
        self.drain()
        self._stream.commit()

    def _clear(self, event: Message) -> None:
        self.drain()
        self._stream.clear()

    def _update(self, event: Message) -> SessionUpdatedMessage:
        session = event.get("session")
        if not isinstance(session, dict):
            raise ClientError("invalid_value", "`session` must be an object.", param="session")
        if "model" in session:
            problem = "The model is chosen in the URL, for the whole session."
            raise ClientError("invalid_value", problem, param="session.model")
        update = parse_update(session)
        config = self.config.updated(update)
        is_new = config.options.turn_model is not None and self.config.options.turn_model is None
        if is_new and not self._stream.accepts_turn_model:
            raise ClientError("turn_model_unavailable", TURN_MODEL_UNAVAILABLE, param="session.turn.mode")
        self.config = config
        self._stream.update(self.config.options)
        self._stream.note(ConfigReached(self.config))
        clips = [ReferenceClip(each.name, each.audio) for each in update.known_speakers if each.audio]
        if "known_speakers" in update.model_fields_set:
            self._stream.note(SpeakersNamed(config.known_speakers, clips, event_id_of(event)))
        return SessionUpdatedMessage(type="session.updated", session=self.config.effective())

    def _mark(self, event: Message) -> None:
        marker = event.get("id")
        if not isinstance(marker, str) or len(marker) > MAX_MARKER:
            problem = f"`id` must be a string of at most {MAX_MARKER} characters."
            raise ClientError("invalid_value", problem, param="id")
        self._stream.mark(marker)

    def _end_of_stream(self, event: Message) -> None:
        self.finish(Reason.END_OF_STREAM)

    # Functions of the class: bound methods would keep each session alive until the garbage is collected.
    _handlers: ClassVar[Mapping[object, Callable[["NativeInput", Message], Reply | None]]] = {
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "session.update": _update,
        "marker": _mark,
        "end_of_stream": _end_of_stream,
    }
