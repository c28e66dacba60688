"""Make the last event of an utterance from the recognizer's text.

Text over audio that is not speech is rejected, and endless repetitions are shortened. Words that were shown
as stable are kept, so that a client never has to take them back (docs/decisions/0008). Every word gets a time
of its own inside the segment. What the client wants done to its text is done last.
"""

from collections.abc import Sequence
from dataclasses import replace

from asr.hallucination_filter import REPETITION, AcousticEvidence, FilterThresholds, judge
from asr.recognizer import Hypothesis, Word
from asr.word_spans import separated
from audio.clip import Clip
from postprocessing.text import processed
from streaming.events import FinalTranscript, TranscriptionFailed
from streaming.local_agreement import matching_length, pieces
from streaming.repetitions import shortened
from streaming.utterance import RecordedResult, Utterance


def final_event(utterance: Utterance, guards: FilterThresholds) -> FinalTranscript | TranscriptionFailed:
    """Return the last event of a closed utterance whose outcome is known."""
    clip, reason, outcome = utterance.clip, utterance.reason, utterance.outcome
    assert clip is not None
    assert reason is not None
    if isinstance(outcome, RecordedResult):
        return FinalTranscript(utterance.number, clip, reason, outcome.hypothesis, outcome.guard)
    if not isinstance(outcome, Hypothesis):
        return TranscriptionFailed(utterance.number, clip.start, clip.end, outcome or "")
    said, guard = filtered(outcome, clip, utterance.speech_probabilities, guards)
    text = with_stable_words(utterance.partials.stable, said, clip)
    if text.words:
        text = replace(text, words=separated(text.words, clip.start, clip.end))
    text = processed(text, utterance.text)
    return FinalTranscript(utterance.number, clip, reason, text, guard, eager=utterance.used_eager)


def filtered(
    hypothesis: Hypothesis, clip: Clip, probabilities: Sequence[float], guards: FilterThresholds
) -> tuple[Hypothesis, str | None]:
    """Return what the filter leaves of a hypothesis, and the guard that changed it, or None.

    probabilities: the detector's probabilities of the clip, one for each hop
    """
    if not hypothesis.text:
        return hypothesis, None
    evidence = AcousticEvidence.of(clip, probabilities)
    guard = judge(hypothesis, evidence, guards)
    if guard is not None:
        return without_text(hypothesis), guard
    shorter = shortened(hypothesis, evidence, guards)
    return shorter, None if shorter is hypothesis else REPETITION


def rejecting_guard(
    hypothesis: Hypothesis, clip: Clip, probabilities: Sequence[float], guards: FilterThresholds
) -> str | None:
    """Return the name of the guard that rejects the text as hallucinated, or None.

    probabilities: the detector's probabilities of the clip, one for each hop
    """
    if not hypothesis.text:
        return None
    return judge(hypothesis, AcousticEvidence.of(clip, probabilities), guards)


def without_text(hypothesis: Hypothesis) -> Hypothesis:
    """Return the hypothesis without its text."""
    return replace(hypothesis, text="", words=(), confidence=None)


def with_stable_words(shown: Sequence[str], hypothesis: Hypothesis, clip: Clip) -> Hypothesis:
    """Return the hypothesis so that it begins with the words that were shown; mostly it does already."""
    said = pieces(hypothesis.text)
    if said[: len(shown)] == list(shown):
        return hypothesis
    cut = matching_length(shown, said)
    text = "".join([*shown, *said[cut:]]).strip()
    words = _timed_words(shown, hypothesis.words, cut, len(said), clip) if hypothesis.words else ()
    return replace(hypothesis, text=text, words=words)


def _timed_words(
    shown: Sequence[str], words: Sequence[Word], cut: int, pieces_said: int, clip: Clip
) -> tuple[Word, ...]:
    """Return the timed words with the shown ones in place of the first `cut` pieces.

    Where the two do not match one to one, the time of the replaced words is divided evenly.
    """
    at = round(cut * len(words) / pieces_said)  # one word is one piece, except in scripts without spaces
    head, tail = words[:at], words[at:]
    texts = [piece.strip() for piece in shown]
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
