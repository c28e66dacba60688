"""RealtimeIntake: a client's messages in OpenAI's Realtime protocol, turned into calls of its pump.

Synchronous. Nothing is answered here: what is to be answered, errors too, goes into the stream as a note, and
is answered when it comes back.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from audio.clip import SAMPLE_RATE, Clip
from audio.decoder import Decoder
from audio.errors import AudioError
from server.errors import ClientError
from server.protocols.json_messages import (
    Message,
    audio_of,
    event_id_of,
    handler_of,
    incomplete_sample_error,
    object_from_json,
)
from server.protocols.openai_realtime.ordered_replies import (
    SHORTEST_COMMIT,
    CommitReply,
    DeleteReply,
    LeftoverReply,
    PlaceholderReply,
    RetrieveReply,
    UpdateReply,
    commit_empty,
)
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.driver import StreamDriver
from vad.segmenter import Reason

PIECE: Final = 1 << 16  # bytes of sound taken in at once: no more samples than the decoder hands out at once
PASSING: Final = SAMPLE_RATE // 2  # samples from one look at the idle timeout to the next

# They ask for what a transcription has not, or for nothing: an error would end most clients.
IGNORED: Final = frozenset(
    {
        "conversation.item.create",
        "conversation.item.truncate",
        "response.cancel",
        "output_audio_buffer.clear",
    }
)


class RealtimeInput:
    """One connection's messages. `ended` once no more audio is taken in."""

    def __init__(self, pump: StreamDriver, session: RealtimeConfig) -> None:
        self.session = session
        self.ended = False
        self._pump = pump
        self._decoder = Decoder()
        self._rest = memoryview(b"")  # of an append that is too long to be taken in at once
        self._since = 0  # samples: where the client's last commit or clear was
        self._passed = 0  # samples: where the last look at the idle timeout was

    def receive(self, message: str | bytes) -> None:
        """Acts on a message. One after which something is left is to be followed by `go_on`."""
        event: Message = {}
        try:
            if isinstance(message, bytes):
                self._take_in(message)
            else:
                event = object_from_json(message)
                handler_of(event, self._handlers)(self, event)
        except AudioError as error:
            self._pump.note(
                ClientError(error.code, str(error), param=error.param, event_id=event_id_of(event))
            )
        except ClientError as error:
            error.event_id = event_id_of(event)
            self._pump.note(error)

    @property
    def has_more(self) -> bool:
        """Something is left of a long message."""
        return len(self._rest) > 0

    def go_on(self) -> None:
        """Takes in the next piece of a long message."""
        piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
        self._decode(bytes(piece))

    def finish(self, reason: Reason) -> None:
        """Ends the audio: what the decoder still holds comes first. Idempotent."""
        if self.ended:
            return
        self.ended = True
        self._rest = memoryview(b"")
        self._pass_on(self._decoder.flush())
        self._pump.end(reason)

    def _append(self, event: Message) -> None:
        self._take_in(audio_of(event))

    def _take_in(self, data: bytes) -> None:
        if len(data) <= PIECE:
            self._decode(data)
        else:
            self._rest = memoryview(data)
            self.go_on()

    def _decode(self, data: bytes) -> None:
        self._pass_on(self._decoder.decode(data, self.session.encoding))
        if self._decoder.leftover:  # of another format
            self._pump.note(incomplete_sample_error(self._decoder.leftover))

    def _pass_on(self, clip: Clip | None) -> None:
        if clip is None:
            return
        self._pump.receive_audio(clip)
        if self.session.idle_timeout and clip.end - self._passed >= PASSING:
            self._passed = clip.end
            self._pump.note(PlaceholderReply())

    def _commit(self, event: Message) -> None:
        self._pass_on(self._decoder.drain())
        received = self._pump.session.received
        if received - self._since < SHORTEST_COMMIT:
            raise commit_empty(received - self._since)
        self._since = received
        self._pump.commit()
        self._pump.note(CommitReply(event_id_of(event)))

    def _clear(self, event: Message) -> None:
        self._pass_on(self._decoder.drain())
        self._since = self._pump.session.received
        self._pump.clear()

    def _update(self, event: Message) -> None:
        session = event.get("session")
        if not isinstance(session, dict):
            raise ClientError("invalid_value", "`session` must be an object.", param="session")
        before, type_ = self.session, str(event["type"])
        if type_ == "transcription_session.update" and not before.beta:
            before = replace(before, beta=True)
        self.session = before.merged(session)
        self._pump.update(self.session.options)
        self._pump.note(UpdateReply(self.session, f"{type_}d"))

    def _retrieve(self, event: Message) -> None:
        self._pump.note(RetrieveReply(_item_id(event), event_id_of(event)))

    def _delete(self, event: Message) -> None:
        self._pump.note(DeleteReply(_item_id(event), event_id_of(event)))

    def _refuse_to_respond(self, event: Message) -> None:
        problem = "This server transcribes: it has no model that could respond."
        raise ClientError("response_not_supported", problem, param="type")

    def _leave(self, event: Message) -> None:
        self._pump.note(LeftoverReply())
        self.finish(Reason.END_OF_STREAM)

    def _ignore(self, event: Message) -> None:
        pass

    # Of the class: bound ones would keep each session alive after its end, until the garbage is collected.
    _handlers: ClassVar[Mapping[object, Callable[["RealtimeInput", Message], None]]] = {
        "session.update": _update,
        "transcription_session.update": _update,
        "input_audio_buffer.append": _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "conversation.item.retrieve": _retrieve,
        "conversation.item.delete": _delete,
        "response.create": _refuse_to_respond,
        "session.input_audio_buffer.append": _append,
        "session.close": _leave,
        **dict.fromkeys(IGNORED, _ignore),
    }


def _item_id(event: Message) -> str:
    item_id = event.get("item_id")
    if not isinstance(item_id, str):
        raise ClientError("invalid_value", "`item_id` must be a string.", param="item_id")
    return item_id
