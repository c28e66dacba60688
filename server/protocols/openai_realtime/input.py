"""Turn a client's messages in OpenAI's Realtime protocol into commands to its stream. Pure.

Nothing is answered here: replies and errors go into the stream as notes, and RealtimeOutput answers them
when the stream returns them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from audio.clip import SAMPLE_RATE, Clip
from audio.container_signatures import container_of
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
from server.protocols.openai_realtime.messages import (
    ClientEvent,
    ConversationItemDeleteEvent,
    ConversationItemRetrieveEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferClearEvent,
    InputAudioBufferCommitEvent,
    ResponseCreateEvent,
    SessionCloseEvent,
    SessionUpdateEvent,
)
from server.protocols.openai_realtime.ordered_replies import (
    SHORTEST_COMMIT,
    CloseReply,
    CommitReply,
    DeleteReply,
    IdleCheck,
    RetrieveReply,
    UpdateReply,
    commit_empty,
)
from server.protocols.openai_realtime.session_config import RealtimeConfig
from vad.segmenter import Reason

MAX_PART_BYTES: Final = 1 << 16  # audio that is decoded at once; the decoder returns its samples in one clip
IDLE_CHECK_SAMPLES: Final = SAMPLE_RATE // 2  # samples between two checks of the idle timeout

# These messages have no effect on a transcription. An error would make most clients disconnect.
IGNORED: Final = frozenset(
    {
        "conversation.item.create",
        "conversation.item.truncate",
        "response.cancel",
        "output_audio_buffer.clear",
    }
)


class RealtimeInput:
    """Apply one session's messages to its stream."""

    def __init__(self, stream: StreamInput, session: RealtimeConfig) -> None:
        self.session = session
        self._stream = stream
        self._decoder = Decoder()
        self._pending_bytes = memoryview(b"")  # the rest of an append that is too long to be decoded at once
        self._buffer_start = 0  # position of the client's last commit or clear, in samples
        self._last_idle_check = 0  # position of the last check of the idle timeout, in samples

    def receive(self, message: str | bytes) -> None:
        """Apply a message, or the first part of a long one; `continue_input` applies the rest."""
        event: Message = {}
        try:
            if isinstance(message, bytes):
                self._receive_audio_bytes(message)
            else:
                event = object_from_json(message)
                handler_of(event, self._handlers)(self, event)
        except AudioError as error:
            self._stream.note(
                ClientError(error.code, str(error), param=error.param, event_id=event_id_of(event))
            )
        except ClientError as error:
            error.event_id = event_id_of(event)
            self._stream.note(error)

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left for `continue_input`."""
        return len(self._pending_bytes) > 0

    def continue_input(self) -> None:
        """Apply the next part of a long message."""
        piece = self._pending_bytes[:MAX_PART_BYTES]
        self._pending_bytes = self._pending_bytes[MAX_PART_BYTES:]
        self._decode(bytes(piece))

    def finish(self, reason: Reason) -> None:
        """Pass on the samples that the decoder still holds and end the audio. Idempotent."""
        if self._stream.input_ended:
            return
        self._pending_bytes = memoryview(b"")
        self._pass_on(self._decoder.flush())
        self._stream.end(reason)

    def _append(self, event: InputAudioBufferAppendEvent) -> None:
        self._receive_audio_bytes(audio_of(event))

    def _receive_audio_bytes(self, data: bytes) -> None:
        """Take in samples, or the first of several parts. Raises ClientError if a file begins the stream."""
        if self._stream.received == 0 and (container := container_of(data)) is not None:
            problem = f"The audio is a {container} file; send raw samples in the format of the session."
            raise ClientError("invalid_audio", problem, param="audio")
        if len(data) <= MAX_PART_BYTES:
            self._decode(data)
        else:
            self._pending_bytes = memoryview(data)
            self.continue_input()

    def _decode(self, data: bytes) -> None:
        self._pass_on(self._decoder.decode(data, self.session.encoding))
        if self._decoder.leftover:  # The format changed in the middle of a sample.
            self._stream.note(incomplete_sample_error(self._decoder.leftover))

    def _pass_on(self, clip: Clip | None) -> None:
        if clip is None:
            return
        self._stream.receive_audio(clip)
        if self.session.idle_timeout and clip.end - self._last_idle_check >= IDLE_CHECK_SAMPLES:
            self._last_idle_check = clip.end
            self._stream.note(IdleCheck())

    def _commit(self, event: InputAudioBufferCommitEvent) -> None:
        self._pass_on(self._decoder.drain())
        received = self._stream.received
        if received - self._buffer_start < SHORTEST_COMMIT:
            raise commit_empty(received - self._buffer_start)
        self._buffer_start = received
        self._stream.commit()
        self._stream.note(CommitReply(event_id_of(event)))

    def _clear(self, event: InputAudioBufferClearEvent) -> None:
        self._pass_on(self._decoder.drain())
        self._buffer_start = self._stream.received
        self._stream.clear()

    def _update(self, event: SessionUpdateEvent) -> None:
        session = event.get("session")
        if not isinstance(session, dict):
            raise ClientError("invalid_value", "`session` must be an object.", param="session")
        before, is_beta = self.session, event["type"] == "transcription_session.update"
        if is_beta and not before.beta:
            before = replace(before, beta=True)
        self.session = before.merged(session)
        self._stream.update(self.session.options)
        self._stream.note(
            UpdateReply(self.session, "transcription_session.updated" if is_beta else "session.updated")
        )

    def _retrieve(self, event: ConversationItemRetrieveEvent) -> None:
        self._stream.note(RetrieveReply(_item_id(event), event_id_of(event)))

    def _delete(self, event: ConversationItemDeleteEvent) -> None:
        self._stream.note(DeleteReply(_item_id(event), event_id_of(event)))

    def _refuse_to_respond(self, event: ResponseCreateEvent) -> None:
        problem = "This server transcribes: it has no model that could respond."
        raise ClientError("response_not_supported", problem, param="type")

    def _close(self, event: SessionCloseEvent) -> None:
        self._stream.note(CloseReply())
        self.finish(Reason.END_OF_STREAM)

    def _ignore(self, event: ClientEvent) -> None:
        pass

    # These are functions of the class: bound methods would keep each session alive until garbage collection.
    _handlers: ClassVar[Mapping[object, Callable[["RealtimeInput", Any], None]]] = {
        "session.update": _update,
        "transcription_session.update": _update,
        "input_audio_buffer.append": _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "conversation.item.retrieve": _retrieve,
        "conversation.item.delete": _delete,
        "response.create": _refuse_to_respond,
        "session.input_audio_buffer.append": _append,
        "session.close": _close,
        **dict.fromkeys(IGNORED, _ignore),
    }


def _item_id(event: ConversationItemRetrieveEvent | ConversationItemDeleteEvent) -> str:
    item_id = event.get("item_id")
    if not isinstance(item_id, str):
        raise ClientError("invalid_value", "`item_id` must be a string.", param="item_id")
    return item_id
