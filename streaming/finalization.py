"""Verdict: the event that ends an utterance, given what the recognizer said of it.

Text over what is not speech is refused. Words that were told as stable are kept: whoever has shown them need
not take them back (docs/decisions/0008).
"""

from collections.abc import Sequence
from dataclasses import replace

from asr.hallucination_filter import AcousticEvidence, FilterThresholds, judge
from asr.recognizer import Hypothesis, Word
from audio.clip import Clip
from streaming.events import FinalTranscript, TranscriptionFailed
from streaming.local_agreement import behind, pieces
from streaming.utterance import RecordedResult, Utterance


def conclude(utterance: Utterance, guards: FilterThresholds) -> FinalTranscript | TranscriptionFailed:
    """The last event of a closed utterance whose outcome is known."""
    clip, reason, outcome = utterance.clip, utterance.reason, utterance.outcome
    assert clip is not None
    assert reason is not None
    if isinstance(outcome, RecordedResult):
        return FinalTranscript(utterance.number, clip, reason, outcome.hypothesis, outcome.guard)
    if not isinstance(outcome, Hypothesis):
        return TranscriptionFailed(utterance.number, clip.start, clip.end, outcome or "")
    guard = refusal(outcome, clip, utterance.speech_probabilities, guards)
    said = outcome if guard is None else silenced(outcome)
    text = keep(utterance.partials.stable, said, clip)
    return FinalTranscript(utterance.number, clip, reason, text, guard, eager=utterance.ahead)


def refusal(
    hypothesis: Hypothesis, clip: Clip, heard: Sequence[float], guards: FilterThresholds
) -> str | None:
    """The guard that refuses the text; None if none does. heard: the detector's probabilities of the clip."""
    if not hypothesis.text:
        return None
    return judge(hypothesis, AcousticEvidence.of(clip.samples, heard), guards)


def silenced(hypothesis: Hypothesis) -> Hypothesis:
    return replace(hypothesis, text="", words=(), confidence=None)


def keep(told: Sequence[str], hypothesis: Hypothesis, clip: Clip) -> Hypothesis:
    """The hypothesis, beginning with the words that were told: mostly it does so by itself."""
    said = pieces(hypothesis.text)
    if said[: len(told)] == list(told):
        return hypothesis
    cut = behind(told, said)
    text = "".join([*told, *said[cut:]]).strip()
    words = _timed(told, hypothesis.words, cut, len(said), clip) if hypothesis.words else ()
    return replace(hypothesis, text=text, words=words)


def _timed(
    told: Sequence[str], words: Sequence[Word], cut: int, pieces_said: int, clip: Clip
) -> tuple[Word, ...]:
    """The words, with those told in place of the first `cut` of so many pieces. Where the two are not one for
    one, the time that is there is shared out."""
    at = round(cut * len(words) / pieces_said)  # words are pieces, but for scripts without spaces
    head, tail = words[:at], words[at:]
    texts = [piece.strip() for piece in told]
    if len(head) == len(texts):
        kept = [
            word if word.text == text else Word(text, word.start, word.end)
            for word, text in zip(head, texts, strict=True)
        ]
        return (*kept, *tail)
    start = head[0].start if head else clip.start
    end = head[-1].end if head else tail[0].start if tail else clip.end
    edges = [start + (end - start) * n // len(texts) for n in range(len(texts) + 1)]
    return (*(Word(text, *edges[n : n + 2]) for n, text in enumerate(texts)), *tail)
