"""Translate between native messages (docs/protocol.md) and a stream, and save a session for a resume."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from audio.clip import SAMPLE_RATE, Samples
from journal.records import AudioRecord, CommandRecord, EndRecord
from journal.replay import ReplayedSession
from server.connection.protocol import Message, StreamInput
from server.connection.session_registry import digest
from server.errors import ClientError
from server.protocols.native.input import ACKNOWLEDGED, NativeInput
from server.protocols.native.messages import SessionCreatedMessage
from server.protocols.native.output import NativeOutput, resumed_message, with_audio
from server.protocols.native.session_config import PRIVATE, OutputOptions, SessionConfig
from server.protocols.native.session_state import restore_config, restore_outputs, save_config, save_outputs
from streaming.events import ChannelEvent, Event, MarkerReached
from vad.segmenter import Reason


class NativeProtocol:
    """Translate one session between native messages and its stream.

    greeting: the server's part of `session.created`; model: name of the recognizer
    token: with which the client resumes, None if it cannot; key: its digest, where only that is known
    commands: number of the session's messages so far that were not audio
    captured: output options of utterances whose finals are still to come
    """

    idle_limit = None

    def __init__(
        self,
        name: str,
        stream: StreamInput,
        config: SessionConfig,
        greeting: Mapping[str, object],
        *,
        model: str = "",
        token: str | None = None,
        key: bytes | None = None,
        commands: int = 0,
        captured: Mapping[int, OutputOptions] | None = None,
    ) -> None:
        self.key = digest(token or "") if key is None else key
        self._is_resumable = token is not None or key is not None
        self._token = token
        self._model = model
        self._name = name
        self._greeting = greeting
        self._input = NativeInput(stream, config, commands)
        self._outputs = [NativeOutput(name, config, captured)]
        if config.apart is not None:
            self._outputs = [NativeOutput(name, config, channel=channel) for channel in range(config.apart)]
        self._markers = [0] * len(self._outputs)  # markers that each channel has reached

    @classmethod
    def restored(cls, name: str, stream: StreamInput, saved: Mapping[str, Any], refused: int = 0) -> Self:
        """Restore a session from what `saved` returned.

        refused: number of messages since then that are not replayed
        Raises KeyError, TypeError, ValueError for anything else.
        """
        return cls(
            name,
            stream,
            restore_config(saved["preferences"]),
            {},
            model=saved["model"],
            key=bytes.fromhex(saved["key"]),
            commands=saved["commands"] + refused,
            captured=restore_outputs(saved.get("outputs", {})),
        )

    def saved(self) -> Mapping[str, object]:
        """Return, as JSON, what `restored` needs."""
        return {
            "preferences": save_config(self._input.config),
            "outputs": save_outputs(self._outputs[0].captured),
            "commands": self._input.commands,
            "key": self.key.hex(),
            "model": self._model,
        }

    def replay(self, entry: AudioRecord | CommandRecord | EndRecord) -> Sequence[Message]:
        """Apply recorded input again; return the replies."""
        match entry:
            case AudioRecord(samples):
                self._input.replay_audio(samples)
            case CommandRecord(text):
                return self.receive(text)
            case EndRecord(reason):
                self._input.finish(reason)
        return ()

    def is_replayed(self, replies: Sequence[Message]) -> bool:
        """Return whether a replay gives these replies again: all but acknowledgements of audio."""
        return any(reply["type"] != ACKNOWLEDGED for reply in replies)

    @property
    def resume_support(self) -> Self | None:
        """The protocol itself, if the client was given a token."""
        return self if self._is_resumable else None

    @property
    def commands(self) -> int:
        """Number of messages so far that were not audio, refused ones included."""
        return self._input.commands

    def initial_messages(self) -> Sequence[Message]:
        """Return `session.created`, if the client subscribed to it."""
        config = self._input.config
        if "session.created" not in config.events:
            return ()
        created = SessionCreatedMessage(
            type="session.created",
            session_id=self._name,
            resume_token=self._token,
            session=config.effective(),
        )
        return ({**created, **self._greeting},)

    def receive(self, message: str | bytes) -> Sequence[Message]:
        """Apply a message; return the reply. Raises ClientError."""
        reply = self._input.receive(message)
        return () if reply is None else (reply,)

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left for `continue_input`."""
        return self._input.has_pending_input

    def continue_input(self) -> Sequence[Message]:
        """Apply the next part of a long message; return the reply."""
        reply = self._input.continue_input()
        return () if reply is None else (reply,)

    def acknowledge(self) -> Sequence[Message]:
        """Return the acknowledgement of received audio, if there is something new."""
        acknowledgement = self._input.acknowledge()
        return () if acknowledgement is None else (acknowledgement,)

    def pause(self) -> None:
        """Take in what the decoder still holds, for a client that is disconnected."""
        self._input.pause()

    def resumed_message(self, seen: int, replayed: int) -> Message:
        """Return `session.resumed`."""
        return resumed_message(self._name, self._input.received_ms, self._input.commands, seen, replayed)

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio."""
        return with_audio(message, samples)

    def finish(self, reason: Reason) -> None:
        """End the audio. Idempotent. Raises ClientError."""
        self._input.finish(reason)

    def encode(self, event: Event) -> Sequence[Message]:
        """Return the message for an event; none if the client is sent none.

        A marker is reached when every channel has reached it.
        """
        channel = (event.channel if isinstance(event, ChannelEvent) else None) or 0
        if isinstance(event, MarkerReached):
            self._markers[channel] += 1
            if self._markers[channel] > min(self._markers):
                return ()
        message = self._outputs[channel].message_of(event)
        return () if message is None else (message,)

    def wants_speakers(self, utterance: int) -> bool:
        """Return whether the client asked for speakers when the utterance began.

        Channels that are kept apart have theirs already.
        """
        return not self._input.config.multichannel and self._outputs[0].options_of(utterance).diarize

    @property
    def wants_revisions(self) -> bool:
        """Whether the client subscribed to corrections of speakers."""
        return self._outputs[0].wants_revisions

    def encode_error(self, error: ClientError) -> Message:
        """Return the `error` message."""
        return error.as_event()

    def with_sequence_number(self, message: Message, number: int) -> Message:
        """Add `seq` and `event_id` to a message."""
        return {**message, "seq": number, "event_id": f"event_{self._name}_{number}"}

    def describe(self) -> Mapping[str, object]:
        """Return the configuration without prompt and hotwords."""
        effective = self._input.config.effective()
        return {key: value for key, value in effective.items() if key not in PRIVATE}


class NativeEndedMessages:
    """Encode the messages to a client that resumes a session which ended under a previous server."""

    def __init__(self, session: str) -> None:
        self._session = session

    def resumed_message(self, recovered: ReplayedSession, seen: int, replayed: int) -> Message:
        """Build `session.resumed` from the journal alone. Raises KeyError for another protocol's journal."""
        since = sum(len(entry.samples) for entry in recovered.tail if isinstance(entry, AudioRecord))
        received_ms = (recovered.begun.snapshot.state.received + since) * 1000 // SAMPLE_RATE
        commands = recovered.head["commands"] + recovered.refused
        commands += sum(isinstance(entry, CommandRecord) for entry in recovered.tail)
        return resumed_message(self._session, received_ms, commands, seen, replayed)

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio."""
        return with_audio(message, samples)
