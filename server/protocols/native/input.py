"""Intake: a client's messages in the native protocol, turned into calls of its pump. Synchronous."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, Final

from audio.clip import SAMPLE_RATE, Clip, Samples, samples_from_ms
from audio.codecs import Encoding
from audio.decoder import Decoder
from audio.errors import AudioError
from journal.recorder import NullRecorder
from server.errors import ClientError
from server.protocols.json_messages import (
    Message,
    audio_of,
    event_id_of,
    handler_of,
    incomplete_sample_error,
    object_from_json,
)
from server.protocols.native.session_config import ConfigReached, SessionConfig
from streaming.driver import StreamDriver
from vad.segmenter import Reason

APPEND: Final = "input_audio_buffer.append"
ACKNOWLEDGED: Final = "input_audio_buffer.acknowledged"
UNACKNOWLEDGED: Final = 2 * SAMPLE_RATE  # samples that may wait for the next beat to be acknowledged
ENCODING_FIELDS: Final = frozenset({"format", "sample_rate", "channels"})
MAX_MARKER: Final = 256  # characters of a marker's id


class NativeInput:
    """One connection's messages. `ended` once no more audio is taken in."""

    def __init__(
        self,
        pump: StreamDriver,
        preferences: SessionConfig,
        recording: NullRecorder | None = None,
        commands: int = 0,
    ) -> None:
        """commands: messages of the session so far that were no sound"""
        self.preferences = preferences
        self.ended = False
        self.commands = commands
        self._pump = pump
        self._recording = recording or NullRecorder()
        self._decoder = Decoder(pump.session.received)
        self._acknowledged = pump.session.received  # samples

    def receive(self, message: str | bytes) -> Message | None:
        """Acts on a message; returns the reply, if there is one. Raises ClientError."""
        if isinstance(message, bytes):
            with _told_of({}):
                return self._decode(message, self.preferences.encoding)
        event: Message = {}
        try:
            event = object_from_json(message)
            with _told_of(event):
                reply = handler_of(event, self._handlers)(self, event)
        except ClientError:
            self._count(event, self._recording.refuse)
            raise
        self._count(event, partial(self._recording.command, message))
        return reply

    @property
    def has_more(self) -> bool:
        """Something is left of a long message: `go_on` comes before the next one."""
        return self._decoder.has_more

    def go_on(self) -> Message | None:
        """Takes in the next piece of a long message; returns the reply, if there is one."""
        return self._take_in(self._decoder.go_on())

    def _count(self, event: Message, record: Callable[[], None]) -> None:
        """Messages that are no sound."""
        if event.get("type") != APPEND:
            self.commands += 1
            record()

    @property
    def received_ms(self) -> int:
        """Whole milliseconds of sound that have come in: never more than there is."""
        return self._pump.session.received * 1000 // SAMPLE_RATE

    def acknowledge(self) -> Message | None:
        """How much has come in, if that is more than the client was told, who wants to know."""
        wanted = ACKNOWLEDGED in self.preferences.events
        if not self._unacknowledged or self.ended or not wanted:
            return None
        self._acknowledged = self._pump.session.received
        return {"type": ACKNOWLEDGED, "received_ms": self.received_ms}

    @property
    def _unacknowledged(self) -> int:
        """Samples."""
        return self._pump.session.received - self._acknowledged

    def drain(self) -> None:
        """Brings in what the decoder still holds; sound may go on behind it."""
        if not self.ended:
            self._pass_on(self._decoder.drain())

    def pause(self) -> None:
        """The client was cut off, and will go on from `received_ms`: what comes in again of the millisecond
        under way is left out. The stub of a frame is dropped."""
        if not self.ended:
            self._pass_on(self._decoder.flush())
            self._decoder.repeat(self._pump.session.received - samples_from_ms(self.received_ms))
            self._acknowledged = self._pump.session.received  # it is told so when it is there again

    def hear(self, samples: Samples) -> None:
        """Sound that came in before, and is played once more."""
        self._pump.receive_audio(Clip(samples, self._decoder.position))
        self._decoder.position += len(samples)
        self._acknowledged = self._pump.session.received

    def finish(self, reason: Reason) -> None:
        """Ends the audio: what the decoder still holds comes first. Idempotent.

        Raises ClientError where bytes are left over that make no sample; the audio is ended all the same.
        """
        if self.ended:
            return
        self.ended = True
        self._pass_on(self._decoder.flush())
        self._recording.end(reason)
        self._pump.end(reason)
        self._complain_of_leftover()

    def _append(self, event: Message) -> Message | None:
        encoding = self._encoding_of(event)
        return self._decode(audio_of(event), encoding)

    def _encoding_of(self, event: Message) -> Encoding:
        """The message's own encoding on top of the session's."""
        default = self.preferences.encoding
        if not ENCODING_FIELDS & event.keys():
            return default
        form = event.get("format", default.format)
        rate = event.get("sample_rate", default.sample_rate)
        channels = event.get("channels", default.channels)
        said = form == default.format and rate == default.sample_rate and channels == default.channels
        if said and type(rate) is type(channels) is int:
            return default  # as nearly all messages say: not worth checking again
        return Encoding(form, rate, channels)

    def _decode(self, data: bytes, encoding: Encoding) -> Message | None:
        reply = self._take_in(self._decoder.decode(data, encoding))
        self._complain_of_leftover()
        return reply

    def _take_in(self, clip: Clip | None) -> Message | None:
        """Returns the acknowledgement, where so much has come in at once that it is due."""
        self._pass_on(clip)
        return self.acknowledge() if self._unacknowledged >= UNACKNOWLEDGED else None

    def _pass_on(self, clip: Clip | None) -> None:
        if clip is not None:
            self._pump.receive_audio(self._recording.sound(clip))

    def _complain_of_leftover(self) -> None:
        """After the clip was taken: whole samples are in the stream, only the stub of one is lost."""
        if self._decoder.leftover:
            raise incomplete_sample_error(self._decoder.leftover)

    def _commit(self, event: Message) -> None:
        self.drain()
        self._pump.commit()

    def _clear(self, event: Message) -> None:
        self.drain()
        self._pump.clear()

    def _update(self, event: Message) -> Message:
        session = event.get("session")
        if not isinstance(session, dict):
            raise ClientError("invalid_value", "`session` must be an object.", param="session")
        if "model" in session:
            problem = "The model is chosen in the URL, for the whole session."
            raise ClientError("invalid_value", problem, param="session.model")
        self.preferences = self.preferences.merged(session)
        self._pump.update(self.preferences.options)
        self._pump.note(ConfigReached(self.preferences))
        return {"type": "session.updated", "session": self.preferences.effective()}

    def _mark(self, event: Message) -> None:
        marker = event.get("id")
        if not isinstance(marker, str) or len(marker) > MAX_MARKER:
            problem = f"`id` must be a string of at most {MAX_MARKER} characters."
            raise ClientError("invalid_value", problem, param="id")
        self._pump.mark(marker)

    def _end_of_stream(self, event: Message) -> None:
        self.finish(Reason.END_OF_STREAM)

    # Of the class: bound ones would keep each session alive after its end, until the garbage is collected.
    _handlers: ClassVar[Mapping[object, Callable[["NativeInput", Message], Message | None]]] = {
        APPEND: _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "session.update": _update,
        "marker": _mark,
        "end_of_stream": _end_of_stream,
    }


@contextmanager
def _told_of(event: Message) -> Iterator[None]:
    """Errors name the message at fault. Raises ClientError."""
    try:
        yield
    except AudioError as error:
        raise ClientError(error.code, str(error), param=error.param, event_id=event_id_of(event)) from None
    except ClientError as error:
        error.event_id = event_id_of(event)
        raise
