"""Translate a session's events into messages of OpenAI's Realtime protocol, in its order. Pure.

An item is open during its speech, then committed, then completed (or failed). Items are committed in the
order of speech and completed in the order of their commits, so that they never interleave. Deltas contain the
stable part of a text. They are sent after the commit or, in a live session, as soon as all earlier items are
completed.

An item is one utterance of the stream, except in a session whose client alone ends the items: there the
stream cuts long speech into several utterances, and the item is all of them up to the client's commit.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from asr.recognizer import Word
from audio.clip import Samples, ms_from_samples, seconds_from_samples
from server.connection.protocol import Message
from server.errors import ClientError
from server.protocols.openai_realtime.conversation_items import ConversationItem, ConversationItems
from server.protocols.openai_realtime.messages import (
    ConversationItemAddedEvent,
    ConversationItemDeletedEvent,
    ConversationItemRetrievedEvent,
    InputAudioBufferClearedEvent,
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    InputAudioBufferSpeechStoppedEvent,
    InputAudioBufferTimeoutTriggeredEvent,
    ItemEventType,
    LanguageFields,
    LogProbFields,
    SessionClosedEvent,
    SessionUpdatedEvent,
    TranscriptionCompletedEvent,
    TranscriptionDeltaEvent,
    TranscriptionErrorFields,
    TranscriptionFailedEvent,
    UsageFields,
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
    no_such_item,
)
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.local_agreement import join_texts
from vad.segmenter import Reason

ITEM_EVENTS: Final[tuple[ItemEventType, ...]] = ("conversation.item.added", "conversation.item.done")
BETA_ITEM_EVENTS: Final[tuple[ItemEventType, ...]] = ("conversation.item.created",)
LEAST_CONFIDENCE: Final = 1e-10  # lower confidences are raised to it before their logarithm is taken
MAX_ITEM_CHARS: Final = 200_000  # of an item of several utterances; about three hours of speech


@dataclass(slots=True)
class _PendingItem:
    """Hold the state of an item, from the begin of its speech to its completion.

    start, end: position in the stream, in samples; the end is set by the commit
    logprobs: whether the client had asked for log probabilities when the speech began
    announced: whether `speech_started` was sent
    utterances: number of utterances of the item so far; 0 for silence
    unfinished: utterances of the item, in order, whose outcome is not known yet
    finished_text: the text of the utterances before them
    text: `finished_text` and the stable part of the text of the utterance after it
    sent: number of characters of `text` that were sent
    words: words of the finished utterances, if the client had asked for log probabilities
    languages: samples of finished utterances by language
    samples: audio of the utterance; None if the item has several: their audio is not kept
    failure: the first utterance that could not be transcribed
    """

    id: str
    start: int
    logprobs: bool = False
    announced: bool = False
    end: int = 0
    utterances: int = 0
    unfinished: deque[int] = field(default_factory=deque)
    finished_text: str = ""
    text: str = ""
    sent: int = 0
    words: list[Word] = field(default_factory=list)
    languages: Counter[str] = field(default_factory=Counter)
    samples: Samples | None = None
    failure: TranscriptionFailed | None = None

    def begin(self, utterance: int) -> None:
        """Add the next utterance."""
        self.utterances += 1
        self.unfinished.append(utterance)
        self.samples = None

    def show(self, utterance: int, stable: str) -> None:
        """Take over the stable text of an utterance, if the texts of all utterances before it are known."""
        if self.unfinished and self.unfinished[0] == utterance:
            self.text = join_texts(self.finished_text, stable)

    def finish(self, outcome: FinalTranscript | TranscriptionFailed) -> None:
        """Take over the outcome of the first unfinished utterance."""
        self.unfinished.popleft()
        if isinstance(outcome, TranscriptionFailed):
            self.failure = self.failure or outcome
            self.finished_text = self.text  # what was sent of it stays
            return
        hypothesis = outcome.hypothesis
        self.text = self.finished_text = join_texts(self.finished_text, hypothesis.text)
        if self.logprobs:
            self.words += hypothesis.words
        if hypothesis.language is not None:
            self.languages[hypothesis.language] += len(outcome.clip.samples)
        if self.utterances == 1:
            self.samples = outcome.clip.samples


class RealtimeOutput:
    """Translate the events of one connection.

    session: settings in force at the place of the latest event
    """

    def __init__(self, name: str, session: RealtimeConfig) -> None:
        self.session = session
        self._name = name
        self._count = 0
        self._open: _PendingItem | None = None
        self._waiting: deque[_PendingItem] = deque()  # committed, not completed; the stream bounds them
        self._by_utterance: dict[int, _PendingItem] = {}  # items of utterances without an outcome
        self._last_item_id: str | None = None  # id of the latest committed item
        self._buffer_start = 0  # end of the audio that was committed or cleared, in samples
        self._silence_start = 0  # position from which the idle timeout counts, in samples
        self._commit_answered = False  # whether the client's commit has ended an utterance
        self._close_requested = False  # whether the client has sent `session.close`
        self._items = ConversationItems()

    def __repr__(self) -> str:
        return (
            f"<RealtimeOutput open={self._open is not None} waiting={len(self._waiting)} "
            f"buffer_start={self._buffer_start}>"
        )

    def messages_of(self, event: Event) -> list[Message]:
        """Return the messages for an event, which may be none."""
        return [*self._messages_of(event), *self._advance()]

    def _messages_of(self, event: Event) -> Iterator[Message]:
        match event:
            case UtteranceStarted(utterance, at):
                yield from self._start(utterance, at)
            case UtteranceEnded(_, at, reason):
                yield from self._stop(at, reason)
            case PartialTranscript(utterance, _, text, stable_chars):
                if self._open is not None:
                    self._open.show(utterance, text[:stable_chars])
            case FinalTranscript() | TranscriptionFailed():
                self._set_outcome(event)
            case AudioCleared(_, end):
                self._drop_open_item()
                self._buffer_start = self._silence_start = end
                yield InputAudioBufferClearedEvent(type="input_audio_buffer.cleared")
            case NoteReached(note, at):
                yield from self._answer(note, at)
            case StreamClosed():
                if self._close_requested:
                    yield SessionClosedEvent(type="session.closed")
            case MarkerReached() | LagReported():  # This protocol uses neither.
                return

    # The following methods lead from speech to a committed item.

    def _new_item(self, start: int) -> _PendingItem:
        self._count += 1
        return _PendingItem(f"item_{self._name}_{self._count}", start, self.session.logprobs)

    def _start(self, utterance: int, at: int) -> Iterator[Message]:
        """Begin an item with the utterance, or continue the open one."""
        if self._open is None:
            yield from self._time_out(at)
            self._open = self._new_item(at)
            if self.session.turn_detection is not None:
                self._open.announced = True
                yield InputAudioBufferSpeechStartedEvent(
                    type="input_audio_buffer.speech_started",
                    audio_start_ms=ms_from_samples(at),
                    item_id=self._open.id,
                )
        self._open.begin(utterance)
        self._by_utterance[utterance] = self._open

    def _stop(self, at: int, reason: Reason) -> Iterator[Message]:
        """Commit the open item, unless only the client may end it: then the next utterance continues it.

        `speech_stopped` is not sent after a commit of the client, because the client knows of it.
        """
        pending = self._open
        assert pending is not None
        is_part = reason is Reason.MAX_DURATION and self.session.turn_detection is None
        if is_part and len(pending.text) < MAX_ITEM_CHARS:
            return
        self._open = None
        self._commit_answered = reason is Reason.COMMIT
        if pending.announced and not self._commit_answered:
            yield InputAudioBufferSpeechStoppedEvent(
                type="input_audio_buffer.speech_stopped",
                audio_end_ms=ms_from_samples(at),
                item_id=pending.id,
            )
        yield from self._commit(pending, at)

    def _drop_open_item(self) -> None:
        """Drop the open item; the outcomes of its utterances that have ended are ignored."""
        if self._open is not None:
            for utterance in self._open.unfinished:
                del self._by_utterance[utterance]
            self._open = None

    def _commit(self, pending: _PendingItem, end: int) -> Iterator[Message]:
        pending.end = self._buffer_start = self._silence_start = end
        self._waiting.append(pending)
        previous, self._last_item_id = self._last_item_id, pending.id
        item = ConversationItem(pending.id)
        self._items.add(item)
        yield InputAudioBufferCommittedEvent(
            type="input_audio_buffer.committed", item_id=pending.id, previous_item_id=previous
        )
        for type_ in BETA_ITEM_EVENTS if self.session.beta else ITEM_EVENTS:
            yield ConversationItemAddedEvent(type=type_, item=item.as_message(), previous_item_id=previous)

    def _commit_silence(self, start: int, end: int) -> Iterator[Message]:
        yield from self._commit(self._new_item(start), end)

    def _time_out(self, at: int) -> Iterator[Message]:
        """Commit silence up to `at` as items, each as long as the client's idle timeout."""
        limit = self.session.idle_timeout
        while limit and self._open is None and at - self._silence_start >= limit:
            start, end = self._silence_start, self._silence_start + limit
            yield InputAudioBufferTimeoutTriggeredEvent(
                type="input_audio_buffer.timeout_triggered",
                audio_start_ms=ms_from_samples(start),
                audio_end_ms=ms_from_samples(end),
                item_id=f"item_{self._name}_{self._count + 1}",
            )
            yield from self._commit_silence(start, end)

    # The following methods lead from a committed item to its completion.

    def _set_outcome(self, outcome: FinalTranscript | TranscriptionFailed) -> None:
        pending = self._by_utterance.pop(outcome.utterance, None)
        if pending is not None:  # else the client has cleared it
            pending.finish(outcome)

    def _advance(self) -> Iterator[Message]:
        """Yield the deltas and completions that can be sent by now."""
        while self._waiting:
            pending = self._waiting[0]
            yield from self._delta(pending)
            if pending.unfinished:
                return
            self._waiting.popleft()
            yield self._completion(pending)
        if self._open is not None and self.session.live:
            yield from self._delta(self._open)

    def _delta(self, pending: _PendingItem) -> Iterator[Message]:
        new = pending.text[pending.sent :]
        if new:
            pending.sent = len(pending.text)
            yield TranscriptionDeltaEvent(
                type="conversation.item.input_audio_transcription.delta",
                item_id=pending.id,
                content_index=0,
                delta=new,
            )

    def _completion(self, pending: _PendingItem) -> Message:
        if pending.failure is not None:
            return TranscriptionFailedEvent(
                type="conversation.item.input_audio_transcription.failed",
                item_id=pending.id,
                content_index=0,
                error=_failure(pending.failure),
            )
        self._items.complete(pending.id, pending.text, pending.samples)
        seconds = round(seconds_from_samples(pending.end - pending.start), 3)
        completed = TranscriptionCompletedEvent(
            type="conversation.item.input_audio_transcription.completed",
            item_id=pending.id,
            content_index=0,
            transcript=pending.text,
            usage=UsageFields(type="duration", seconds=seconds),
        )
        if pending.languages:
            completed["languages"] = [LanguageFields(code=pending.languages.most_common(1)[0][0])]
        if pending.logprobs and pending.utterances:
            completed["logprobs"] = _logprobs(pending.words)
        return completed

    # The following methods answer the client's requests.

    def _answer(self, note: object, at: int) -> Iterator[Message]:
        match note:
            case CommitReply(event_id):
                yield from self._answer_commit(event_id, at)
            case UpdateReply(session, type_):
                if session.idle_timeout != self.session.idle_timeout:
                    self._silence_start = at
                self.session = session
                yield SessionUpdatedEvent(type=type_, session=session.effective())
            case RetrieveReply(item_id, event_id):
                yield self._retrieve(item_id, event_id)
            case DeleteReply(item_id, event_id):
                if self._items.delete(item_id):
                    yield ConversationItemDeletedEvent(type="conversation.item.deleted", item_id=item_id)
                else:
                    yield no_such_item("delete", item_id, event_id).as_event()
            case IdleCheck():
                yield from self._time_out(at)
            case CloseReply():
                self._close_requested = True
            case ClientError():
                yield note.as_event()

    def _answer_commit(self, event_id: str | None, at: int) -> Iterator[Message]:
        """Answer a commit of the client.

        If the commit ended an utterance, its messages were sent already; else the silence becomes an item.
        """
        if self._commit_answered:
            self._commit_answered = False
        elif at - self._buffer_start < SHORTEST_COMMIT:
            yield commit_empty(at - self._buffer_start, event_id).as_event()
        else:
            yield from self._commit_silence(self._buffer_start, at)

    def _retrieve(self, item_id: str, event_id: str | None) -> Message:
        item = self._items.get(item_id)
        if item is None:
            return no_such_item("retrieve", item_id, event_id).as_event()
        return ConversationItemRetrievedEvent(
            type="conversation.item.retrieved", item=item.as_message(self.session.encoding)
        )


def _failure(failed: TranscriptionFailed) -> TranscriptionErrorFields:
    return TranscriptionErrorFields(
        type="transcription_error",
        code="transcription_failed",
        message=f"This item could not be transcribed: {failed.message}",
        param="audio",
    )


def _logprobs(words: Iterable[Word]) -> list[LogProbFields] | None:
    """Return log probabilities of words, because recognizers report none of tokens; None if unknown."""
    known = [(word.text, word.confidence) for word in words if word.confidence is not None]
    return [
        LogProbFields(
            token=text,
            logprob=math.log(max(confidence, LEAST_CONFIDENCE)),
            bytes=list(text.encode()),
        )
        for text, confidence in known
    ] or None
