"""Provide audio whose speech is loud, a detector of loudness, and a recognizer that describes its audio."""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

import numpy as np

from asr.hallucination_filter import FilterThresholds
from asr.languages import choose_language
from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import HOP, Clip, Samples
from streaming.effects import CancelTask, DetectHops, HoldTask
from streaming.events import Event, PartialTranscript
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.utterance import RecognitionTask, TurnQuestion
from vad.detector_input import DetectorInput
from vad.segmenter import Reason

Ask = Callable[[Session], None]

# A partial covers less audio than its final, so acoustic guards may judge the two differently, and whether
# words are shown before a segment is rejected depends on time (docs/decisions/0008). The recognizer below
# gives too many words a second for `max_rate`.
FEW_GUARDS = FilterThresholds(min_rms=None, min_voicing=None, max_rate=None)
CONTINUING = SessionOptions(partials=True, guards=FEW_GUARDS, continues=True)


def sound(*runs: tuple[bool, int]) -> Samples:
    """Return speech (True) and silence, each so many samples; no two parts are equal."""
    pieces = [np.full(samples, 0.5 if speech else 0.01) for speech, samples in runs]
    level = np.concatenate([*pieces, np.empty(0)])
    return (level * np.random.default_rng(5).uniform(0.8, 1.0, len(level))).astype(np.float32)


def hear(hops: Samples) -> list[float]:
    """Return the probabilities of the hops (n, 512)."""
    return [0.97 if loud else 0.02 for loud in np.abs(hops).max(axis=1) > 0.1]


def detect(detector: object, work: list[DetectorInput]) -> list[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """`hear`, as a worker calls it."""
    return [np.array(hear(item.hops), np.float32) for item in work]


def recognize(request: RecognitionRequest) -> Hypothesis:
    """Return a word for each 200 ms, and at the end a word that no other clip gives.

    The last word ends the sentence, a part of it, or neither. The likely language counts for most clips.
    What was said before changes the last word.
    """
    clip = request.clip
    words = [f"w{n}" for n in range(len(clip.samples) // 3200)]
    total = float(clip.samples.sum())
    kind = int(total) % 4
    detected = {("en", "de", "fr", "es")[kind]: (0.97, 0.8, 0.3, 0.4)[kind]}
    rest = 0.01 if kind == 0 else (0.01, 0.03, 0.06)[int(total) % 3]
    language, probability = choose_language(
        dict.fromkeys(("en", "de", "fr", "es"), rest) | detected, request.likely_language
    )
    before = request.previous
    followed = (
        ""
        if before is None
        else f"+{crc32(before.clip.samples.tobytes())}+{crc32(before.text.encode())}+{before.language}"
    )
    last = f"{clip.start}:{total:.3f}:{language}{followed}{('.', ',', '')[int(total) % 3]}"
    return Hypothesis(" ".join([*words, last]), language=language, language_probability=probability)


def transcribe(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
    """`recognize`, as a worker calls it."""
    return [recognize(request) for request in requests]


def complete(clip: Clip) -> float:
    """Return 0.1 or 0.9 as the probability that the turn is complete; it depends on every sample."""
    return 0.9 if round(float(np.abs(clip.samples).sum())) % 2 else 0.1


def take_question(session: Session) -> TurnQuestion | None:
    """Take out the question that the session asks the turn model."""
    for effect in session.effects:
        if isinstance(effect, TurnQuestion):
            session.effects.remove(effect)
            return effect
    return None


def take_hops(session: Session) -> Samples | None:
    """Take out the hops that the session wants to have detected."""
    for effect in session.effects:
        if isinstance(effect, DetectHops):
            session.effects.remove(effect)
            return effect.hops
    return None


def take_task(session: Session) -> RecognitionTask | None:
    """Take out the first task that the session asks for and has not cancelled; forget held ones."""
    for held in [effect for effect in session.effects if isinstance(effect, HoldTask)]:
        session.effects.remove(held)
    cancelled = [effect.task for effect in session.effects if isinstance(effect, CancelTask)]
    for effect in list(session.effects):
        if isinstance(effect, RecognitionTask):
            session.effects.remove(effect)
            if effect not in cancelled:
                return effect
    return None


def take_events(session: Session) -> list[Event]:
    """Take out the events for the client."""
    others = (DetectHops, RecognitionTask, HoldTask, CancelTask, TurnQuestion)
    events: list[Event] = [effect for effect in session.effects if not isinstance(effect, others)]
    for event in events:
        session.effects.remove(event)
    return events


def detect_all(session: Session) -> None:
    """Answer the detector's requests until there are none."""
    while (hops := take_hops(session)) is not None:
        session.receive_probabilities(hear(hops))


class Slow:
    """Answer late: `answer_some` answers a random number of the waiting requests."""

    def __init__(self, session: Session, seed: int) -> None:
        self.session = session
        self.events: list[Event] = []
        self._chance = random.Random(seed)
        self._hops: deque[Samples] = deque()
        self._jobs: list[RecognitionTask] = []
        self._questions: deque[TurnQuestion] = deque()

    def answer_some(self) -> None:
        while self._chance.random() < 0.5:
            self._take()
            if self._hops and self._chance.random() < 0.7:
                self.session.receive_probabilities(hear(self._hops.popleft()))
            elif self._questions and self._chance.random() < 0.5:
                self._answer_question()
            elif self._jobs:
                job = self._jobs.pop(self._chance.randrange(len(self._jobs)))
                self.session.receive_hypothesis(job, recognize(job.request))
            self.events += take_events(self.session)

    def answer_all(self) -> list[Event]:
        while self._take():
            while self._hops:
                self.session.receive_probabilities(hear(self._hops.popleft()))
            while self._jobs:
                job = self._jobs.pop(self._chance.randrange(len(self._jobs)))
                self.session.receive_hypothesis(job, recognize(job.request))
            while self._questions:
                self._answer_question()
        self.events += take_events(self.session)
        return self.events

    def _answer_question(self) -> None:
        question = self._questions.popleft()
        self.session.receive_turn_probability(question, complete(question.clip))

    def _take(self) -> bool:
        if (hops := take_hops(self.session)) is not None:
            self._hops.append(hops)
        while (job := take_task(self.session)) is not None:
            self._jobs.append(job)
        while (question := take_question(self.session)) is not None:
            self._questions.append(question)
        self.events += take_events(self.session)
        return bool(self._hops or self._jobs or self._questions)


def play(
    samples: Samples,
    cuts: Iterable[int],
    asks: Sequence[tuple[int, Ask]] = (),
    *,
    seed: int | None = None,
    options: SessionOptions | None = None,
    end: Reason = Reason.END_OF_STREAM,
) -> list[Event]:
    """Run a whole session: audio cut at `cuts`, each command at its sample.

    The models answer at once, or with a seed late.
    """
    hops_per_step = random.Random(seed or 0).randint(1, 40)
    session = Session(
        options or SessionOptions(partials=True, guards=FEW_GUARDS), hops_per_step=hops_per_step
    )
    models = Slow(session, seed or 0)
    at_once = seed is None
    waiting = deque(sorted(asks, key=lambda ask: ask[0]))
    start = 0
    places = {*cuts, *(at for at, _ in asks), len(samples)}
    for stop in sorted(place for place in places if place <= len(samples)):
        if stop > start:
            session.receive_audio(Clip(samples[start:stop], start))
            start = stop
        while waiting and waiting[0][0] <= start:
            waiting.popleft()[1](session)
        if at_once:
            models.answer_all()
        else:
            models.answer_some()
    session.receive_end(end)
    return models.answer_all()


def lasting(events: Sequence[Event]) -> list[list[Event]]:
    """Return the events that do not depend on timing, by kind, in order. Partials are left out."""
    kinds = sorted({type(event).__name__ for event in events if not isinstance(event, PartialTranscript)})
    return [[event for event in events if type(event).__name__ == kind] for kind in kinds]


def flat(events: Sequence[Event]) -> list[str]:
    """Return an event in a comparable form, which clips are not."""
    return [_text(event) for kind in lasting(events) for event in kind]


def _text(event: Event) -> str:
    clip = getattr(event, "clip", None)
    return f"{event!r} {clip.start, clip.end, float(clip.samples.sum())}" if clip else repr(event)


__all__ = [
    "CONTINUING",
    "HOP",
    "Slow",
    "detect",
    "flat",
    "hear",
    "lasting",
    "play",
    "recognize",
    "sound",
    "transcribe",
]
