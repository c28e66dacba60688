"""Snapshot: a session between two hops as plain data, from which another goes on as if nothing had been."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from asr.recognizer import TranscriptionOptions
from audio.clip import Clip, Samples
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
    """An utterance. told: the words that were shown as stable; end, reason, heard: of a closed one only.

    asr: the recognition options that it began with; None where they are the session's present ones
    """

    number: int
    start: int
    told: tuple[str, ...] = ()
    end: int | None = None
    reason: Reason | None = None
    heard: tuple[float, ...] = ()
    asr: TranscriptionOptions | None = None

    @property
    def length(self) -> int:
        """Samples of a closed one."""
        return 0 if self.end is None else self.end - self.start


@dataclass(frozen=True, slots=True)
class StreamState:
    """All but the sound. Positions in samples of the stream.

    count: utterances so far
    sound_from: the oldest sample that is needed; heard: probabilities from its hop on
    waiting: closed utterances without their final, and markers, in the order of speech
    held: markers inside the utterance under way
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

    @property
    def samples(self) -> int:
        """That belong to it."""
        closed = sum(each.length for each in self.waiting if isinstance(each, UtteranceState))
        return closed + self.received - self.sound_from


class Snapshot(NamedTuple):
    """sound: float32; the closed utterances that wait, one behind the other, then [sound_from, received)."""

    state: StreamState
    sound: Samples


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """A stream that began elsewhere, and is to go on.

    memory: the detector's, at the snapshot; None at the beginning of a stream
    concluded: by utterance, what was told of it after that; promised: likewise, words shown as stable
    """

    snapshot: Snapshot
    memory: DetectorState | None = None
    concluded: Mapping[int, RecordedResult | str] = field(default_factory=dict)
    promised: Mapping[int, Sequence[str]] = field(default_factory=dict)


def save(session: Session) -> Snapshot:
    """All that a session remembers; it must be at rest."""
    assert session.is_at_rest
    oldest, waiting = session.segmenter.oldest_needed, tuple(session.backlog)
    state = StreamState(
        received=session.received,
        count=session.count,
        ledger=replace(session.ledger),
        segmenter=session.segmenter.standing(),
        sound_from=oldest,
        heard=tuple(session.heard.read(oldest, session.judged)),
        open=None if session.open is None else _kept(session.open, session.options),
        waiting=tuple(
            each.id if isinstance(each, MarkerReached) else _kept(each, session.options) for each in waiting
        ),
        held=tuple(marker.id for marker in session.held),
    )
    clips = [each.clip.samples for each in waiting if isinstance(each, Utterance) and each.clip is not None]
    return Snapshot(state, np.concatenate([*clips, session.ring.read(oldest, session.received)]))


def restore(
    snapshot: Snapshot,
    options: SessionOptions,
    name: str = "",
    promised: Mapping[int, Sequence[str]] | None = None,
) -> Session:
    """A session that goes on from there, with the options that were in force.

    promised: by utterance, words that were shown as stable after that
    """
    state, session = snapshot.state, Session(options, name)
    session.promised = dict(promised or {})
    session.received, session.taken, session.count = state.received, state.segmenter.position, state.count
    session.ledger = replace(state.ledger)
    session.segmenter.resume(state.segmenter)
    session.ring.skip_to(state.sound_from)
    session.ring.append(snapshot.sound[len(snapshot.sound) - (state.received - state.sound_from) :])
    session.heard = SpeechProbabilities(state.sound_from)
    session.heard.extend(list(state.heard))
    session.held = [MarkerReached(marker) for marker in state.held]
    _restore_backlog(session, snapshot)
    if state.open is not None:
        told = session.promised.pop(state.open.number, state.open.told)
        session.open = session.make_utterance(state.open.number, state.open.start, told)
        session.open.asr = state.open.asr or options.asr
        session.plan(session.open)
    return session


def _restore_backlog(session: Session, snapshot: Snapshot) -> None:
    first = 0
    for each in snapshot.state.waiting:
        if isinstance(each, str):
            session.backlog.extend([MarkerReached(each)])
            continue
        utterance = session.make_utterance(each.number, each.start, each.told)
        utterance.asr = each.asr or session.options.asr
        utterance.clip = Clip(snapshot.sound[first : first + each.length], each.start)
        utterance.reason, utterance.heard = each.reason, each.heard
        first += each.length
        session.backlog.add(utterance)
        session.agenda.add_final(utterance)


def _kept(utterance: Utterance, options: SessionOptions) -> UtteranceState:
    told = tuple(utterance.partials.told)
    asr = None if utterance.asr == options.asr else utterance.asr
    if utterance.clip is None:
        return UtteranceState(utterance.number, utterance.start, told, asr=asr)
    clip, heard = utterance.clip, tuple(utterance.heard)
    return UtteranceState(utterance.number, clip.start, told, clip.end, utterance.reason, heard, asr)
