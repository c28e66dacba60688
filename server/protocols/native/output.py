"""Encode a session's events as messages of the native protocol (docs/protocol.md)."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pybase64

from asr.recognizer import Word
from audio.clip import SAMPLE_RATE, Samples, ms_from_samples
from diarization.speaker_history import SpeakerChange
from server.connection.protocol import Message
from server.errors import ErrorFields
from server.protocols.native.messages import (
    AudioDroppedMessage,
    FinalMessage,
    MarkerMessage,
    PartialMessage,
    RevisedItemFields,
    RevisedWordFields,
    ServerLagMessage,
    SessionClosedMessage,
    SessionResumedMessage,
    SpeakersRevisedMessage,
    SpeechStartedMessage,
    SpeechStoppedMessage,
    UtteranceErrorMessage,
    WordFields,
)
from server.protocols.native.session_config import REVISED, ConfigReached, OutputOptions, SessionConfig
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    SpeakersRevised,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)

OF_ALL_CHANNELS: Final = frozenset({"marker", "session.closed", "server.lag"})
# Sent whatever the client subscribed to.
ALWAYS_SENT: Final = frozenset({"error", "marker", "response.audio_transcript.done"})


class NativeOutput:
    """Turn the events of a session or of one channel into messages.

    Each message is under the configuration in force at its sample.

    channel: number of the channel if channels are kept apart: it is in the messages, and in the ids of items
    captured: options of the utterances whose finals are still to come, by utterance; an utterance of an older
        journal is not among them and gets those in force at its final
    """

    def __init__(
        self,
        session_id: str,
        config: SessionConfig,
        captured: Mapping[int, OutputOptions] | None = None,
        channel: int | None = None,
    ) -> None:
        self.captured = dict(captured or {})
        self._channel = channel
        self._session_id = session_id if channel is None else f"{session_id}_{channel}"
        self._config = config

    def item_id(self, utterance: int) -> str | None:
        """Return the id of an utterance's item; None for 0, the number before the first utterance."""
        return f"item_{self._session_id}_{utterance}" if utterance > 0 else None

    def message_of(self, event: Event) -> Message | None:
        """Return the message for an event; None if this client is sent none. Call it for every event."""
        message = self._message_of(event)
        if message is not None and self._channel is not None and message["type"] not in OF_ALL_CHANNELS:
            message = {**message, "channel": self._channel}
        if message is None or message["type"] in ALWAYS_SENT or message["type"] in self._config.events:
            return message
        return None

    def _message_of(self, event: Event) -> Message | None:
        match event:
            case UtteranceStarted(utterance, at):
                self.captured[utterance] = self._config.output
                return SpeechStartedMessage(
                    type="input_audio_buffer.speech_started",
                    item_id=self.item_id(utterance),
                    audio_start_ms=ms_from_samples(at),
                )
            case UtteranceEnded(utterance, at, reason):
                return SpeechStoppedMessage(
                    type="input_audio_buffer.speech_stopped",
                    item_id=self.item_id(utterance),
                    audio_end_ms=ms_from_samples(at),
                    reason=reason,
                )
            case PartialTranscript():
                return self._partial(event, self.options_of(event.utterance))
            case FinalTranscript():
                return self._done(event, self._options_of(event.utterance))
            case SpeakersRevised(changes):
                return SpeakersRevisedMessage(type=REVISED, items=[self._revised(each) for each in changes])
            case TranscriptionFailed(utterance, start, end, message):
                self._options_of(utterance)
                return self._failed(utterance, start, end, message)
            case AudioCleared(start, end):
                return AudioDroppedMessage(
                    type="input_audio_buffer.cleared",
                    start_ms=ms_from_samples(start),
                    dropped_ms=ms_from_samples(end - start),
                )
            case MarkerReached(marker):
                return MarkerMessage(type="marker", id=marker)
            case LagReported(lag_ms):
                return ServerLagMessage(type="server.lag", lag_ms=lag_ms)
            case NoteReached(note):
                if isinstance(note, ConfigReached):
                    self._config = note.config
                return None
            case StreamClosed():
                return _closed(event)

    @property
    def wants_revisions(self) -> bool:
        """Whether the client subscribed to corrections of speakers, at the place of the latest event."""
        return REVISED in self._config.events

    def options_of(self, utterance: int) -> OutputOptions:
        """Return the options of an utterance."""
        return self.captured.get(utterance, self._config.output)

    def _options_of(self, utterance: int) -> OutputOptions:
        """Return the options of the utterance that ends; those before it are not needed any more."""
        options = self.options_of(utterance)
        self.captured = {number: kept for number, kept in self.captured.items() if number > utterance}
        return options

    def _partial(self, partial: PartialTranscript, options: OutputOptions) -> PartialMessage:
        message = PartialMessage(
            type="transcript.partial",
            item_id=self.item_id(partial.utterance),
            text=partial.text,
            stable_chars=partial.stable_chars,
            start_ms=ms_from_samples(partial.start),
        )
        if options.diarize and self._channel is None:  # The number of a channel says who speaks.
            message["speaker"] = partial.speaker
        return message

    def _done(self, final: FinalTranscript, options: OutputOptions) -> FinalMessage | None:
        hypothesis = final.hypothesis
        if not hypothesis.text and not options.silence:
            return None
        message = FinalMessage(
            type="response.audio_transcript.done",
            transcript=hypothesis.text,
            sample_rate=SAMPLE_RATE,
            item_id=self.item_id(final.utterance),
            previous_item_id=self.item_id(final.utterance - 1),
            response_id=f"resp_{self._session_id}_{final.utterance}",
            output_index=0,
            content_index=0,
            start_ms=ms_from_samples(final.clip.start),
            end_ms=ms_from_samples(final.clip.end),
            language=hypothesis.language,
            language_probability=hypothesis.language_probability,
            confidence=hypothesis.confidence,
            reason=final.reason,
            guard=final.guard,
            ignored=hypothesis.ignored,
        )
        has_speakers = options.diarize or self._channel is not None
        if options.include_audio:
            message["audio"] = base64_from_samples(final.clip.samples)
        if options.words:
            message["words"] = [_word(word, has_speakers) for word in hypothesis.words]
        if has_speakers:
            message["speaker"] = final.speaker
            if final.overlap:
                message["overlap"] = True
        return message

    def _revised(self, change: SpeakerChange) -> RevisedItemFields:
        item = RevisedItemFields(item_id=self.item_id(change.utterance), speaker=change.speaker)
        if change.words:
            item["words"] = [
                RevisedWordFields(start_ms=ms_from_samples(start), end_ms=ms_from_samples(end), speaker=label)
                for start, end, label in change.words
            ]
        return item

    def _failed(self, utterance: int, start: int, end: int, text: str) -> UtteranceErrorMessage:
        message = f"This utterance could not be transcribed: {text}"
        return UtteranceErrorMessage(
            type="error",
            message=message,
            item_id=self.item_id(utterance),
            start_ms=ms_from_samples(start),
            end_ms=ms_from_samples(end),
            error=ErrorFields(
                type="server_error",
                code="transcription_failed",
                message=message,
                param=None,
                event_id=None,
                retryable=False,
            ),
        )


def resumed_message(
    session: str, received_ms: int, commands: int, seen: int, replayed: int
) -> SessionResumedMessage:
    """Return the first message to a client that resumes.

    received_ms: whole milliseconds of audio received; commands: number of other messages received
    seen: number of the last message that the client has seen; replayed: number of messages that follow
    """
    return SessionResumedMessage(
        type="session.resumed",
        session_id=session,
        received_ms=received_ms,
        received_messages=commands,
        replayed=replayed,
        seq=seen,
        event_id=f"event_{session}_resumed_{seen}",
    )


def with_audio(message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
    """Restore a message that the journal keeps without its audio.

    samples: float32 at 16 kHz; None if the audio is lost, then the message has no `audio` field.
    """
    if samples is not None:
        return {**message, "audio": base64_from_samples(samples)}
    return {key: value for key, value in message.items() if key != "audio"}


def base64_from_samples(samples: Samples) -> str:
    """Encode float32 samples of shape (n,) as base64 of PCM16, little endian."""
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    return pybase64.b64encode_as_string(pcm.tobytes())


def _word(word: Word, diarize: bool) -> WordFields:
    fields = WordFields(
        word=word.text,
        start_ms=ms_from_samples(word.start),
        end_ms=ms_from_samples(word.end),
        confidence=word.confidence,
    )
    if diarize:
        fields["speaker"] = word.speaker
        if word.overlap:
            fields["overlap"] = True
    return fields


def _closed(closed: StreamClosed) -> SessionClosedMessage:
    """Return the message for the end of a stream.

    The milliseconds are rounded so that they still add up, and none of them is negative.
    """
    dropped = ms_from_samples(closed.dropped)
    speech = ms_from_samples(closed.dropped + closed.speech) - dropped
    received = ms_from_samples(closed.received)
    return SessionClosedMessage(
        type="session.closed",
        received_ms=received,
        speech_ms=speech,
        non_speech_ms=received - speech - dropped,
        dropped_ms=dropped,
        segments=closed.segments,
    )
