"""Reject texts that a recognizer hallucinated over noise, breath or silence.

Over such audio recognizers write phrases that are frequent in their training data. A text is rejected only if
the voice detector is not sure of speech, and a second, independent sign agrees: one more of the audio, or one
of the text (docs/decisions/0020). The functions are pure: they judge a text and measurements of its audio.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import HOP, SAMPLE_RATE, Clip, Samples

LOUDEST_SAMPLES: Final = SAMPLE_RATE // 5  # samples; about the length of a vowel
PEAK_HOPS: Final = (
    5  # 160 ms; noise has a high speech probability for one or two hops, a short word for longer
)
BLOCK: Final = SAMPLE_RATE // 100  # samples; the resolution in the search for the loudest 200 ms
MIN_SECONDS: Final = 1 / SAMPLE_RATE
# Expected seconds of speech below which a segment is brief. Noise resembles speech briefly, while a whisper
# or a distant voice can leave the detector in doubt for long.
BRIEF_SECONDS: Final = 0.6
BACKGROUND: Final = 0.1  # quantile of the energies of the hops that counts as background noise


@dataclass(frozen=True, slots=True)
class AcousticEvidence:
    """Hold measurements of the audio of a segment.

    seconds: length of the segment
    rms: level of its loudest 200 ms in dBFS, -inf for digital silence
    speech_probability: 0..1, mean of the voice detector over the segment; None without a detector
    speech_peak: 0..1, mean of the PEAK_HOPS highest probabilities; None without a detector
    speech_energy: 0..1, result of `speech_energy`; None without a detector
    voicing: -1..1, result of `voicing` for the loudest 200 ms; None for zeros
    """

    seconds: float
    rms: float
    speech_probability: float | None = None
    speech_peak: float | None = None
    speech_energy: float | None = None
    voicing: float | None = None

    @classmethod
    def of(cls, clip: Clip, probabilities: Sequence[float] = ()) -> Self:
        """Measure a segment.

        probabilities: speech probability of each hop of the stream that overlaps it, 0..1; empty without a
            detector
        """
        stretch = loudest(clip.samples)
        return cls(
            seconds=clip.seconds,
            rms=level(stretch),
            speech_probability=_mean(probabilities),
            speech_peak=_peak(probabilities),
            speech_energy=speech_energy(clip, probabilities),
            voicing=voicing(stretch),
        )

    @property
    def speech_seconds(self) -> float | None:
        """Return the expected seconds of speech: the mean probability times the length.

        None without a detector.
        """
        return None if self.speech_probability is None else self.speech_probability * self.seconds


def _mean(numbers: Sequence[float]) -> float | None:
    return math.fsum(numbers) / len(numbers) if numbers else None


def _peak(probabilities: Sequence[float]) -> float | None:
    return _mean(sorted(probabilities)[-PEAK_HOPS:])


def loudest(samples: Samples) -> Samples:
    """Return the loudest 200 ms of the samples, at a resolution of 10 ms; all samples if there are fewer.

    samples: float32 (n,), 16 kHz mono
    """
    if len(samples) <= LOUDEST_SAMPLES:
        return samples
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    total = np.zeros(len(blocks) + 1)
    np.cumsum(np.einsum("ij,ij->i", blocks, blocks), out=total[1:])
    start = int((total[LOUDEST_SAMPLES // BLOCK :] - total[: -LOUDEST_SAMPLES // BLOCK]).argmax()) * BLOCK
    return samples[start : start + LOUDEST_SAMPLES]


def level(samples: Samples) -> float:
    """Return the level in dBFS of float32 samples (n,); -inf for zeros and for an empty array."""
    energy = float(samples @ samples)
    return 10 * math.log10(energy / len(samples)) if energy > 0 else -math.inf


def voicing(samples: Samples) -> float | None:
    """Return the normalised autocorrelation at a lag of one sample, -1..1; None for zeros.

    samples: float32 (n,), 16 kHz mono

    It is one of five features with which Atal and Rabiner (1976) distinguish voiced from unvoiced speech. A
    voice has most of its energy below 1 kHz and comes near 1; white noise is near 0, and a hiss is below 0.
    """
    energy = float(samples @ samples)
    return float(samples[1:] @ samples[:-1]) / energy if energy > 0 else None


def speech_energy(clip: Clip, probabilities: Sequence[float]) -> float | None:
    """Return the mean speech probability, 0..1, of hops weighted by their energy above the background.

    Speech has most of its energy in vowels, of which the detector is sure. A sneeze or a bark may resemble
    speech for a moment, but mostly not where it is loudest.

    probabilities: those of all hops of the stream that overlap the clip

    Returns None without probabilities or samples, and for a clip of constant energy.
    """
    if not probabilities or not len(clip.samples):
        return None
    starts = np.arange(-(clip.start % HOP), len(clip.samples), HOP).clip(min=0)
    energies = np.add.reduceat(np.square(clip.samples), starts, dtype=np.float64)[: len(probabilities)]
    above = np.maximum(energies - np.quantile(energies, BACKGROUND), 0.0)
    total = float(above.sum())
    return float(above @ np.asarray(probabilities[: len(above)])) / total if total > 0 else None


@dataclass(frozen=True, slots=True)
class FilterThresholds:
    """Hold the thresholds of the filter; None or 0 disables a sign.

    sure_peak: speech probability of the surest 160 ms from which no text is rejected; None rejects none
    min_rms: lowest level of the loudest 200 ms, in dBFS
    min_voicing: least voicing of the loudest 200 ms of a brief segment
    min_energy: least speech probability by energy of a brief segment, if the mean log-probability of the text
        is also below energy_log_prob
    energy_log_prob: mean log-probability below which min_energy applies
    max_no_speech: highest probability of no speech from the model, if the mean log-probability of the text is
        also below no_speech_log_prob (openai/whisper, transcribe.py). A probability above that of speech from
        the detector counts in any case
    no_speech_log_prob: mean log-probability below which max_no_speech applies
    min_log_prob: least mean log-probability of the text; disabled by default, as it depends on the model
    max_rate: most words per second
    phantoms: whether it counts that models are known to write the text over noise
    max_repeats: most copies of a phrase in a row that are kept, unless the words fit into the speech; this
        shortens a text and never rejects it
    """

    sure_peak: float | None = 0.95
    min_rms: float | None = -60.0
    min_voicing: float | None = 0.8
    min_energy: float | None = 0.62
    energy_log_prob: float = -0.5
    max_no_speech: float | None = 0.6
    no_speech_log_prob: float = -1.0
    min_log_prob: float | None = None
    max_rate: float | None = 8.0
    phantoms: bool = True
    max_repeats: int | None = 5


class Strictness(StrEnum):
    """Select how strictly texts are rejected."""

    OFF = "off"
    NORMAL = "normal"
    STRICT = "strict"


# STRICT also rejects text below the log-probability at which openai/whisper decodes again.
FILTERS: Final = {
    Strictness.OFF: FilterThresholds(sure_peak=None, max_repeats=None),
    Strictness.NORMAL: FilterThresholds(),
    Strictness.STRICT: FilterThresholds(
        sure_peak=0.98,
        min_rms=-52.5,
        min_energy=0.75,
        energy_log_prob=-0.3,
        max_no_speech=0.45,
        no_speech_log_prob=-0.75,
        min_log_prob=-1.0,
        max_rate=7.0,
        max_repeats=4,
    ),
}


def judge(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> str | None:
    """Return the name of the first sign that rejects the text; None if none does.

    Nothing is rejected if the detector is sure of speech, or was not asked.
    """
    if not hypothesis.text or not _below(evidence.speech_peak, guards.sure_peak):
        return None
    return next((name for name, is_seen in _SIGNS.items() if is_seen(hypothesis, evidence, guards)), None)


def is_sure_of_speech(probabilities: Sequence[float], guards: FilterThresholds) -> bool:
    """Return whether the detector is so sure of speech that `judge` rejects no text.

    probabilities: as in AcousticEvidence.of
    """
    return not _below(_peak(probabilities), guards.sure_peak)


def _below(value: float | None, floor: float | None) -> bool:
    """Return whether a known value is below an enabled threshold."""
    return bool(value is not None and floor and value < floor)


def _above(value: float | None, ceiling: float | None) -> bool:
    return bool(value is not None and ceiling and value > ceiling)


def _rms(_: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _below(evidence.rms, guards.min_rms)


def _voicing(_: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _is_brief(evidence) and _below(evidence.voicing, guards.min_voicing)


def _energy(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    is_unsure = hypothesis.avg_log_prob is not None and hypothesis.avg_log_prob < guards.energy_log_prob
    return is_unsure and _is_brief(evidence) and _below(evidence.speech_energy, guards.min_energy)


def _is_brief(evidence: AcousticEvidence) -> bool:
    return evidence.speech_seconds is not None and evidence.speech_seconds < BRIEF_SECONDS


def _no_speech(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    silent, voiced = hypothesis.no_speech_probability, evidence.speech_peak
    if silent is None or not guards.max_no_speech:
        return False
    is_unsure = hypothesis.avg_log_prob is not None and hypothesis.avg_log_prob < guards.no_speech_log_prob
    return (voiced is not None and silent > voiced) or (is_unsure and silent > guards.max_no_speech)


def _log_prob(hypothesis: Hypothesis, _: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _below(hypothesis.avg_log_prob, guards.min_log_prob)


def _rate(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    """Return whether the text has too many words per second.

    Two words are not counted, because a short segment may cut through its first and last word. If the model
    gives no probability of no speech, the expected seconds of speech count and not those of the segment.
    """
    words = len(_words(hypothesis.text))
    if hypothesis.no_speech_probability is None and evidence.speech_seconds is not None:
        return _above(words / max(evidence.speech_seconds, MIN_SECONDS), guards.max_rate)
    return words > 2 and _above((words - 2) / max(evidence.seconds, MIN_SECONDS), guards.max_rate)


def _phantom(hypothesis: Hypothesis, _: AcousticEvidence, guards: FilterThresholds) -> bool:
    return guards.phantoms and is_phantom(hypothesis.text)


_SIGNS: Final[dict[str, Callable[[Hypothesis, AcousticEvidence, FilterThresholds], bool]]] = {
    "rms": _rms,
    "voicing": _voicing,
    "energy": _energy,
    "no_speech": _no_speech,
    "log_prob": _log_prob,
    "rate": _rate,
    "phantom": _phantom,
}
REPETITION: Final = "repetition"  # names a text that was shortened, not rejected
NAMES: Final = (*_SIGNS, REPETITION)


def is_phantom(text: str) -> bool:
    """Return whether models are known to write this text over noise, or whether it has no words."""
    said = " ".join(_words(text))
    return said in _PHANTOMS or said.startswith(_CREDITS)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


# Phrases that end films and talks, which are frequent in training data, and texts written for a sneeze or a
# bark. They are in the form that _words returns; "" stands for a text such as "...".
_PHANTOMS: Final = frozenset(
    (
        *("", "you", "thank you", "thank you very much", "thanks for watching", "thank you for watching"),
        *("thank you so much for watching", "thanks for listening", "please subscribe", "like and subscribe"),
        *("see you next time", "bye", "bye bye", "the end"),
        *("the", "ah", "eh", "ha", "hah", "hh", "hm", "hmm", "huh", "mm", "ugh", "uh", "um"),
        *("vielen dank", "vielen dank fürs zuschauen", "danke fürs zuschauen", "bis zum nächsten mal"),
        *("merci", "merci d avoir regardé cette vidéo", "gracias", "gracias por ver el video"),
        *("obrigado", "obrigado por assistir", "grazie", "grazie per la visione", "bedankt voor het kijken"),
        *("dziękuję za uwagę", "tack för att ni tittade", "izlediğiniz için teşekkür ederim"),
        *("продолжение следует", "спасибо за просмотр"),
        *("ご視聴ありがとうございました", "谢谢观看", "시청해주셔서 감사합니다"),
        *("cảm ơn các bạn đã theo dõi", "hẹn gặp lại các bạn trong những video tiếp theo"),
    )
)
_CREDITS: Final = (
    *("subtitles by", "subtitled by", "captions by", "captioned by", "transcription by", "transcribed by"),
    *("translated by", "untertitel", "sous titr", "subtítulos", "legendas pel", "sottotitoli", "ondertitel"),
    *("napisy", "субтитры", "字幕"),
)
