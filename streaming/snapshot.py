"""Save a session between two hops as plain data, and restore one that continues from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from asr.recognizer import TranscriptionOptions
from audio.clip import Clip, Samples
from postprocessing.options import TextOptions
from streaming.events import MarkerReached
from streaming.options import SessionOptions
from streaming.sample_accounting import SampleAccounting
from streaming.session import Session
from streaming.speech_probabilities import SpeechProbabilities
from streaming.utterance import RecordedResult, Utterance
from vad.detector_input import DetectorState
from vad.segmenter import Reason, SegmenterState


@dataclass(frozen=True, slots=True)
class UtteranceState:
    """Hold the state of an utterance. A journal stores these fields by name.

    end, reason: where and why its segment ended; None if it is open
    heard: the detector's probabilities of a closed segment, one for each hop
    asr, text: the options that it began with; None if they are the session's present ones
    pause: samples between the end of the utterance before and its start, if it continues that one. Those of a
        closed utterance are saved before its own
    said, said_language: the text of the final and its language, once it has left
    """

    number: int
    start: int
    told: tuple[str, ...] = ()  # the words that were shown as stable
    end: int | None = None
    reason: Reason | None = None
    heard: tuple[float, ...] = ()
    asr: TranscriptionOptions | None = None
    text: TextOptions | None = None
    pause: int | None = None
    said: str = ""
    said_language: str | None = None

    @property
    def length(self) -> int:
        """Samples of a closed utterance, without the pause before it."""
        return 0 if self.end is None else self.end - self.start


@dataclass(frozen=True, slots=True)
class StreamState:
    """Hold the state of a session except its audio. A journal stores these fields by name.

    received: samples received
    count: utterances so far
    ledger: what became of the samples
    sound_from: the oldest sample that is needed
    heard: the detector's probabilities from the hop of that sample on
    open: the open utterance
    waiting: closed utterances without a final, and ids of markers, in the order of speech
    held: ids of the markers inside the open utterance
    language: that of the last final that was sure of it
    before: the closed utterance with a final that the first of the others continues, or the next one may
    is_followed: whether the next utterance may continue the last closed one
    """

    received: int
    count: int
    ledger: SampleAccounting
    segmenter: SegmenterState
    sound_from: int
    heard: tuple[float, ...] = ()
    open: UtteranceState | None = None
    waiting: tuple[UtteranceState | str, ...] = ()
    held: tuple[str, ...] = ()
    language: str | None = None
    before: UtteranceState | None = None
    is_followed: bool = False

    @property
    def closed(self) -> list[UtteranceState]:
        """The closed utterances whose audio belongs to the state, in order."""
        first = [] if self.before is None else [self.before]
        return first + [each for each in self.waiting if isinstance(each, UtteranceState)]

    @property
    def samples(self) -> int:
        """Number of samples of audio that belong to the state."""
        closed = sum(each.length + (each.pause or 0) for each in self.closed)
        return closed + self.received - self.sound_from


class Snapshot(NamedTuple):
    """Hold a session's state and its audio.

    sound: float32 (n,); the closed utterances one after the other, each after the pause that belongs to it,
        then [sound_from, received)
    """

    state: StreamState
    sound: Samples

    def closed_sounds(self) -> dict[int, tuple[Samples, Samples]]:
        """Return the pause before each closed utterance and its clip, by number."""
        sounds, first = {}, 0
        for each in self.state.closed:
            start = first + (each.pause or 0)
            sounds[each.number] = self.sound[first:start], self.sound[start : start + each.length]
            first = start + each.length
        return sounds


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """Hold what is needed to continue a stream that began elsewhere.

    detector_state: the detector's state at the snapshot; None at the beginning of a stream
    results: by utterance, the results that were sent after the snapshot, or their error messages
    stable_words: by utterance, the words that were shown as stable after the snapshot
    """

    snapshot: Snapshot
    detector_state: DetectorState | None = None
    results: Mapping[int, RecordedResult | str] = field(default_factory=dict)
    stable_words: Mapping[int, Sequence[str]] = field(default_factory=dict)


def save(session: Session) -> Snapshot:
    """Return all that a session remembers; it must be at rest."""
    assert session.is_at_rest
    oldest, waiting = session.oldest_needed, tuple(session.results.waiting)
    before = _released_before(session)
    state = StreamState(
        received=session.received,
        count=session.count,
        ledger=replace(session.accounting),
        segmenter=session.segmenter.save(),
        sound_from=oldest,
        heard=tuple(session.speech_probabilities.read(oldest, session.judged)),
        open=None if session.open is None else _saved(session.open, session.options),
        waiting=tuple(
            each.id if isinstance(each, MarkerReached) else _saved(each, session.options) for each in waiting
        ),
        held=tuple(marker.id for marker in session.held_markers),
        language=session.results.language,
        before=None if before is None else replace(_saved(before, session.options), told=(), heard=()),
        is_followed=session.last is not None,
    )
    closed = [before, *waiting] if before is not None else waiting
    sounds = [
        samples
        for each in closed
        if isinstance(each, Utterance) and each.clip is not None
        for samples in (each.pause, each.clip.samples)
    ]
    return Snapshot(state, np.concatenate([*sounds, session.audio.read(oldest, session.received)]))


def _released_before(session: Session) -> Utterance | None:
    """Return the utterance whose final has left and that another one continues or may continue."""
    first = next((each for each in session.results.waiting if isinstance(each, Utterance)), None)
    if first is not None:
        before = first.previous
    else:
        before = session.last if session.open is None else session.open.previous
    return before if before is not None and before.is_final_known else None


def restore(
    snapshot: Snapshot,
    options: SessionOptions,
    name: str = "",
    stable_words: Mapping[int, Sequence[str]] | None = None,
) -> Session:
    """Return a session that continues from the snapshot, with the options that were in force.

    stable_words: by utterance, words that were shown as stable after the snapshot
    """
    state, session = snapshot.state, Session(options, name)
    session.stable_words = dict(stable_words or {})
    session.received, session.requested, session.count = state.received, state.segmenter.position, state.count
    session.accounting = replace(state.ledger)
    session.results.language = state.language
    session.segmenter.restore(state.segmenter)
    session.audio.skip_to(state.sound_from)
    session.audio.append(snapshot.sound[len(snapshot.sound) - (state.received - state.sound_from) :])
    session.speech_probabilities = SpeechProbabilities(state.sound_from)
    session.speech_probabilities.values.extend(state.heard)
    session.held_markers = [MarkerReached(marker) for marker in state.held]
    last = _restore_results(session, snapshot)
    if state.is_followed:
        session.last = last
    if state.open is not None:
        stable = session.stable_words.pop(state.open.number, state.open.told)
        session.open = session.make_utterance(state.open.number, state.open.start, stable)
        session.open.asr = state.open.asr or options.asr
        session.open.text = state.open.text or options.text
        session.open.previous = None if state.open.pause is None else last
    session.resume()
    return session


def _restore_results(session: Session, snapshot: Snapshot) -> Utterance | None:
    """Restore the closed utterances and ask for their texts. Returns the last one."""
    last: Utterance | None = None
    sounds = snapshot.closed_sounds()
    if snapshot.state.before is not None:
        last = _restored(session, snapshot.state.before, sounds, None)
        last.is_final_known = True
    for each in snapshot.state.waiting:
        if isinstance(each, str):
            session.results.extend([MarkerReached(each)])
        else:
            last = _restored(session, each, sounds, last)
            session.add_closed(last)
    return last


def _restored(
    session: Session,
    state: UtteranceState,
    sounds: Mapping[int, tuple[Samples, Samples]],
    before: Utterance | None,
) -> Utterance:
    utterance = session.make_utterance(state.number, state.start, state.told)
    utterance.asr = state.asr or session.options.asr
    utterance.text = state.text or session.options.text
    pause, clip = sounds[state.number]
    utterance.clip = Clip(clip, state.start)
    utterance.reason, utterance.speech_probabilities = state.reason, state.heard
    utterance.said, utterance.said_language = state.said, state.said_language
    if state.pause is not None:
        utterance.previous, utterance.pause = before, pause
    return utterance


def _saved(utterance: Utterance, options: SessionOptions) -> UtteranceState:
    stable = tuple(utterance.partials.stable)
    asr = None if utterance.asr == options.asr else utterance.asr
    text = None if utterance.text == options.text else utterance.text
    pause = None
    if utterance.previous is not None and utterance.previous.clip is not None:
        pause = utterance.start - utterance.previous.clip.end
    if utterance.clip is None:
        return UtteranceState(utterance.number, utterance.start, stable, asr=asr, text=text, pause=pause)
    clip, probabilities = utterance.clip, tuple(utterance.speech_probabilities)
    return UtteranceState(
        utterance.number,
        clip.start,
        stable,
        clip.end,
        utterance.reason,
        probabilities,
        asr,
        text,
        pause,
        utterance.said,
        utterance.said_language,
    )
