"""Translate a session's events into messages of Deepgram's live API (docs/deepgram.md). Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from asr.recognizer import Hypothesis, ModelInfo
from audio.clip import HOP
from diarization.known_speakers import LABELS
from server.connection.protocol import Message
from server.protocols.deepgram.messages import (
    AlternativeFields,
    ChannelFields,
    ConfigureFailureMessage,
    ConfigureSuccessMessage,
    ErrorMessage,
    MetadataMessage,
    ModelInfoFields,
    ResultsMessage,
    ResultsMetadata,
    SpeechStartedMessage,
    UtteranceEndMessage,
)
from server.protocols.deepgram.options import DeepgramOptions
from server.protocols.deepgram.words import format_text, seconds, timed_words, words_fields
from streaming.events import (
    Event,
    FinalTranscript,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceStarted,
)
from vad.segmenter import Reason

MIXED: Final = (0, 1)  # the first channel of one, because several are mixed to one


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """Hold the description of the model, as Deepgram's messages contain it."""

    uuid: str
    info: ModelInfoFields

    @classmethod
    def of(cls, description: ModelInfo) -> "ModelMetadata":
        """Return the metadata of a model.

        The id is derived from the name, so that it is the same on each server and after each start.
        """
        info = ModelInfoFields(name=description.model, version="", arch=description.family)
        return cls(str(uuid5(NAMESPACE_URL, description.model)), info)


def timestamp(moment: datetime) -> str:
    """Return the moment in UTC, in ISO 8601 with milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class DeepgramOutput:
    """Translate the events of one channel.

    request_id: id of the session, as in the log
    created: time when the session began, as `timestamp` writes it
    channel: number of the channel, and of all channels that are kept apart
    """

    def __init__(
        self,
        options: DeepgramOptions,
        model: ModelMetadata,
        request_id: str,
        created: str,
        channel: tuple[int, int] = MIXED,
    ) -> None:
        self._options = options
        self._model = model
        self._request_id = request_id
        self._created = created
        self._channel = channel
        self._timer = UtteranceEndTimer(options.utterance_end)
        # An onset is reported this many samples after its speech began.
        self._onset_delay = options.session.vad.min_speech_hops * HOP
        self._sent_end = 0  # end of the last utterance that was sent, in samples
        # Of the last final, if the client asked for speakers; a channel that is kept apart has one speaker.
        self._speaker = LABELS[channel[0]] if options.diarized and channel != MIXED else None
        self._finalize_answered = False  # whether the pending Finalize has been answered

    def messages_of(self, event: Event, sha256: str) -> Sequence[Message]:
        """Return the messages for an event.

        sha256: hash of all audio bytes received so far, in hex
        """
        match event:
            case UtteranceStarted(_, at):
                return [*self._utterance_end(self._timer.begin(at)), *self._speech_started(at)]
            case PartialTranscript() if self._options.interim:
                return self._interim(event)
            case FinalTranscript():
                return self._final(event)
            case TranscriptionFailed():
                return self._failed(event)
            case MarkerReached():
                return self._answer_finalize()
            case NoteReached(_, at):
                return self._utterance_end(self._timer.reach(at - self._onset_delay))
            case StreamClosed(received):
                return [self._metadata(received, sha256)]
            case _:
                return []

    def configure_success(self, keyterms: Sequence[str] | None) -> ConfigureSuccessMessage:
        success = ConfigureSuccessMessage(type="ConfigureSuccess", request_id=self._request_id)
        if keyterms is not None:
            success["keyterms"] = list(keyterms)
        return success

    def configure_failure(self, code: str, description: str) -> ConfigureFailureMessage:
        return ConfigureFailureMessage(
            type="ConfigureFailure", request_id=self._request_id, code=code, description=description
        )

    def _speech_started(self, at: int) -> Sequence[Message]:
        if not self._options.vad_events:
            return []
        return [SpeechStartedMessage(type="SpeechStarted", channel=self._channel, timestamp=seconds(at))]

    def _utterance_end(self, word_end: int | None) -> list[UtteranceEndMessage]:
        if word_end is None:
            return []
        end = seconds(word_end)
        return [UtteranceEndMessage(type="UtteranceEnd", channel=self._channel, last_word_end=end)]

    def _interim(self, partial: PartialTranscript) -> Sequence[Message]:
        hypothesis = Hypothesis(partial.text)
        # Deepgram's fields need a speaker: while it is unknown who speaks now, the last one counts.
        speaker = partial.speaker or self._speaker
        if speaker is not None:
            words = timed_words(hypothesis, partial.start, partial.end)
            spoken = tuple(replace(word, speaker=speaker) for word in words)
            hypothesis = replace(hypothesis, words=spoken)
        return (
            [self._results(partial.start, partial.end, hypothesis)]
            if format_text(hypothesis.text, self._formatted)
            else []
        )

    def _final(self, final: FinalTranscript) -> Sequence[Message]:
        start, end, hypothesis = final.clip.start, final.clip.end, final.hypothesis
        from_finalize = final.reason is Reason.COMMIT
        self._finalize_answered |= from_finalize
        self._sent_end = end
        speech_final = self._is_speech_final(final.reason)
        words = timed_words(hypothesis, start, end)
        if self._options.diarized:
            self._speaker = final.speaker or self._speaker
            words = tuple(replace(word, speaker=word.speaker or self._speaker) for word in words)
            hypothesis = replace(hypothesis, words=words)
        results = self._results(
            start, end, hypothesis, final=True, speech_final=speech_final, from_finalize=from_finalize
        )
        return [results, *self._utterance_end(self._timer.conclude(words[-1].end if words else None))]

    def _is_speech_final(self, reason: Reason) -> bool:
        if reason in (Reason.SILENCE, Reason.NO_AUDIO):
            return self._options.endpoints
        return reason is not Reason.MAX_DURATION

    def _failed(self, failed: TranscriptionFailed) -> Sequence[Message]:
        """Return an Error and an empty Results.

        Clients expect a Results for each utterance; the Error distinguishes the failure from silence.
        """
        self._sent_end = failed.end
        error = ErrorMessage(
            type="Error",
            variant="transcription_failed",
            description=f"This utterance could not be transcribed: {failed.message}",
        )
        results = self._results(failed.start, failed.end, Hypothesis(""), final=True, speech_final=True)
        return [error, results, *self._utterance_end(self._timer.conclude(None))]

    def _answer_finalize(self) -> Sequence[Message]:
        """Return an empty Results if Finalize ended no utterance.

        If it ended one, the final of that utterance was the answer.
        """
        answered, self._finalize_answered = self._finalize_answered, False
        if answered:
            return []
        nothing, at = Hypothesis(""), self._sent_end
        return [self._results(at, at, nothing, final=True, speech_final=True, from_finalize=True)]

    def _results(
        self,
        start: int,
        end: int,
        hypothesis: Hypothesis,
        *,
        final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> ResultsMessage:
        metadata = ResultsMetadata(
            request_id=self._request_id, model_info=self._model.info, model_uuid=self._model.uuid
        )
        if hypothesis.ignored:
            metadata["ignored"] = hypothesis.ignored
        return ResultsMessage(
            type="Results",
            channel_index=self._channel,
            duration=seconds(end - start),
            start=seconds(start),
            is_final=final,
            speech_final=speech_final,
            channel=ChannelFields(alternatives=[self._alternative(start, end, hypothesis)]),
            metadata=metadata,
            from_finalize=from_finalize,
        )

    def _alternative(self, start: int, end: int, hypothesis: Hypothesis) -> AlternativeFields:
        return AlternativeFields(
            transcript=format_text(hypothesis.text, self._formatted),
            confidence=hypothesis.confidence or 0.0,
            words=words_fields(timed_words(hypothesis, start, end), self._formatted, self._options.diarized),
        )

    def _metadata(self, received: int, sha256: str) -> MetadataMessage:
        _, channels = self._channel
        return MetadataMessage(
            type="Metadata",
            transaction_key="deprecated",
            request_id=self._request_id,
            sha256=sha256,
            created=self._created,
            duration=seconds(received // channels),  # `received` is the sum of the channels
            channels=channels,
            models=[self._model.uuid],
            model_info={self._model.uuid: self._model.info},
        )

    @property
    def _formatted(self) -> bool:
        return self._options.formatted


class UtteranceEndTimer:
    """Find the gaps after the last word of a final for which UtteranceEnd is sent, once for each gap.

    The gap ends where the next utterance begins. If that utterance turns out to have no words, the gap
    continues: an utterance whose text is not known yet only delays the answer.

    wait: samples that the gap must last; None to find no gaps

    All methods return the end of the last word, in samples, once the gap is long enough, else None.
    """

    def __init__(self, wait: int | None) -> None:
        self._wait = wait
        self._position = 0
        self._unknown: deque[int] = deque()  # the starts of utterances whose text is not known yet
        self._word_end: int | None = None

    def reach(self, position: int) -> int | None:
        """Record that voice detection has processed the stream up to this position, in samples."""
        self._position = position
        return self._due()

    def begin(self, start: int) -> int | None:
        """Record that an utterance has begun."""
        self._unknown.append(start)
        return self._due()

    def conclude(self, word_end: int | None) -> int | None:
        """Record the result of the first utterance that is not known yet.

        word_end: end of its last word, in samples; None if it has no words
        """
        self._unknown.popleft()
        if word_end is not None:
            self._word_end = word_end
        return self._due()

    def _due(self) -> int | None:
        end, word_end = self._unknown[0] if self._unknown else self._position, self._word_end
        if self._wait is None or word_end is None or end - word_end < self._wait:
            return None
        self._word_end = None
        return word_end
