"""Guards: what is not speech does not become text. Pure: a text and what its sound was like, to a verdict.

Recognizers write over noise, breath and silence what they have read most often. Each guard looks for one sign
of that; the thresholds are those of openai/whisper (transcribe.py) where it has them.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import SAMPLE_RATE, Samples, seconds_from_samples

LOUDEST_OVER: Final = SAMPLE_RATE // 5  # samples: a vowel
PEAK_HOPS: Final = 5  # 160 ms: noise that passes for speech does so for a hop or two, a short word for longer
BLOCK: Final = SAMPLE_RATE // 100  # samples: the resolution of where the loudest stretch lies
LEAST_SECONDS: Final = 1 / SAMPLE_RATE
LONGEST_PHRASE: Final = 16  # words that are looked for again right behind themselves


@dataclass(frozen=True, slots=True)
class AcousticEvidence:
    """What is known of a segment besides its text.

    seconds: how long it is; rms: dBFS of its loudest 200 ms, -inf for digital silence
    speech_probability: 0..1, the detector's mean over the segment; None when no detector judged it
    speech_peak: 0..1, its mean over the PEAK_HOPS hops of which it is surest; None likewise
    voicing: -1..1, of the loudest 200 ms, as `voicing` has it
    """

    seconds: float
    rms: float
    speech_probability: float | None = None
    speech_peak: float | None = None
    voicing: float | None = None

    @classmethod
    def of(cls, samples: Samples, probabilities: Sequence[float] = ()) -> Self:
        """samples: float32 (n,), of the segment; probabilities: one per hop of it."""
        stretch = loudest(samples)
        return cls(
            seconds=seconds_from_samples(len(samples)),
            rms=level(stretch),
            speech_probability=_mean(probabilities),
            speech_peak=_mean(sorted(probabilities)[-PEAK_HOPS:]),
            voicing=voicing(stretch),
        )

    @property
    def speech_seconds(self) -> float | None:
        """Of speech that the detector expects: its mean probability times the length."""
        return None if self.speech_probability is None else self.speech_probability * self.seconds


def _mean(numbers: Sequence[float]) -> float | None:
    return math.fsum(numbers) / len(numbers) if numbers else None


def loudest(samples: Samples) -> Samples:
    """The loudest 200 ms of float32 samples (n,), found to 10 ms; all of them where there are fewer."""
    if len(samples) <= LOUDEST_OVER:
        return samples
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    total = np.zeros(len(blocks) + 1)
    np.cumsum(np.einsum("ij,ij->i", blocks, blocks), out=total[1:])
    start = int((total[LOUDEST_OVER // BLOCK :] - total[: -LOUDEST_OVER // BLOCK]).argmax()) * BLOCK
    return samples[start : start + LOUDEST_OVER]


def level(samples: Samples) -> float:
    """dBFS of float32 samples (n,); -inf for zeros, and for none."""
    energy = float(samples @ samples)
    return 10 * math.log10(energy / len(samples)) if energy > 0 else -math.inf


def voicing(samples: Samples) -> float | None:
    """How like its neighbour a sample is, -1..1; None for zeros. float32 samples (n,).

    The normalised autocorrelation at a lag of one sample, one of five signs by which Atal and Rabiner (1976)
    tell voiced from unvoiced speech: a voice has its strength below 1 kHz and comes near 1, white noise is at
    0, a hiss below.
    """
    energy = float(samples @ samples)
    return float(samples[1:] @ samples[:-1]) / energy if energy > 0 else None


@dataclass(frozen=True, slots=True)
class FilterThresholds:
    """From where on a text is refused; None or 0 switches a guard off.

    min_rms: dBFS of the loudest 200 ms
    min_speech: seconds of speech that the detector expects: its mean probability times the length
    brief: seconds of speech that the detector expects, up to which it must be sure: what is not speech passes
        for it briefly, while a voice far away may leave it in doubt for long
    min_peak: mean probability of speech that the surest 160 ms of a brief sound must reach
    peak_rise: by how much more for each second of speech expected: of a longer sound it should be surer
    min_voicing: how like its neighbour a sample of the loudest 200 ms of a brief sound must be; refused only
        where the surest 160 ms are below voicing_peak too, as "six" is half hiss
    max_no_speech: probability that the model gives to there being no speech; refused only where the mean
        log-probability of the text is below no_speech_log_prob too
    min_log_prob: mean log-probability of the text, whatever else; off, as it takes a threshold per model
    max_compression: compression ratio of the text
    max_repeats: times that a phrase stands in a row
    max_rate: words in a second
    phantoms: refuse what models are known to write over noise, where SHARPER guards would refuse any text
    """

    min_rms: float | None = -60.0
    min_speech: float | None = 0.15
    brief: float = 0.6
    min_peak: float | None = 0.6
    peak_rise: float = 0.6
    min_voicing: float | None = 0.8
    voicing_peak: float = 0.99
    max_no_speech: float | None = 0.6
    no_speech_log_prob: float = -1.0
    min_log_prob: float | None = None
    max_compression: float | None = 2.4
    max_repeats: int | None = 5
    max_rate: float | None = 8.0
    phantoms: bool = True


# Signs too weak to refuse a text for, and strong enough to refuse a phantom.
SHARPER: Final = FilterThresholds(
    min_rms=-45.0,
    min_speech=0.4,
    brief=math.inf,
    min_peak=0.95,
    peak_rise=0.0,
    max_no_speech=0.3,
    no_speech_log_prob=-0.5,
    min_log_prob=-0.8,
    phantoms=False,
)


class Strictness(StrEnum):
    """How much text is refused."""

    OFF = "off"
    NORMAL = "normal"
    STRICT = "strict"


# STRICT lies halfway between NORMAL and SHARPER, and refuses text below the log-probability at which
# openai/whisper decodes again. No corpus was measured with it.
FILTERS: Final = {
    Strictness.OFF: FilterThresholds(
        min_rms=None,
        min_speech=None,
        min_peak=None,
        min_voicing=None,
        max_no_speech=None,
        max_compression=None,
        max_repeats=None,
        max_rate=None,
        phantoms=False,
    ),
    Strictness.NORMAL: FilterThresholds(),
    Strictness.STRICT: FilterThresholds(
        min_rms=-52.5,
        min_speech=0.28,
        min_peak=0.78,
        max_no_speech=0.45,
        no_speech_log_prob=-0.75,
        min_log_prob=-1.0,
        max_repeats=4,
        max_rate=7.0,
    ),
}


def judge(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> str | None:
    """The name of the first guard that refuses the text; None when none does, or when there is no text."""
    if not hypothesis.text:
        return None
    return next((name for name, refuses in _GUARDS.items() if refuses(hypothesis, evidence, guards)), None)


def _below(value: float | None, floor: float | None) -> bool:
    """What is not known, and a guard that is off, refuse nothing."""
    return bool(value is not None and floor and value < floor)


def _above(value: float | None, ceiling: float | None) -> bool:
    return bool(value is not None and ceiling and value > ceiling)


def _rms(_: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _below(evidence.rms, guards.min_rms)


def _speech(_: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _below(evidence.speech_seconds, guards.min_speech)


def _peak(_: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    floor = guards.min_peak and guards.min_peak + guards.peak_rise * (evidence.speech_seconds or 0)
    return _is_brief(evidence, guards) and _below(evidence.speech_peak, floor)


def _voicing(_: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    unsure = evidence.speech_peak is not None and evidence.speech_peak < guards.voicing_peak
    return unsure and _is_brief(evidence, guards) and _below(evidence.voicing, guards.min_voicing)


def _is_brief(evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    return evidence.speech_seconds is not None and evidence.speech_seconds < guards.brief


def _no_speech(hypothesis: Hypothesis, _: AcousticEvidence, guards: FilterThresholds) -> bool:
    unsure = hypothesis.avg_log_prob is not None and hypothesis.avg_log_prob < guards.no_speech_log_prob
    return unsure and _above(hypothesis.no_speech_probability, guards.max_no_speech)


def _log_prob(hypothesis: Hypothesis, _: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _below(hypothesis.avg_log_prob, guards.min_log_prob)


def _compression(hypothesis: Hypothesis, _: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _above(hypothesis.compression_ratio, guards.max_compression)


def _repetition(hypothesis: Hypothesis, _: AcousticEvidence, guards: FilterThresholds) -> bool:
    return _above(repeats(_words(hypothesis.text)), guards.max_repeats)


def _rate(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    """Two words are free: a short segment may cut through them."""
    paced = len(_words(hypothesis.text)) - 2
    return paced > 0 and _above(paced / max(evidence.seconds, LEAST_SECONDS), guards.max_rate)


def _phantom(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> bool:
    return (
        guards.phantoms and is_phantom(hypothesis.text) and judge(hypothesis, evidence, SHARPER) is not None
    )


_GUARDS: Final[dict[str, Callable[[Hypothesis, AcousticEvidence, FilterThresholds], bool]]] = {
    "rms": _rms,
    "speech": _speech,
    "peak": _peak,
    "voicing": _voicing,
    "no_speech": _no_speech,
    "log_prob": _log_prob,
    "compression": _compression,
    "repetition": _repetition,
    "rate": _rate,
    "phantom": _phantom,
}
NAMES: Final = tuple(_GUARDS)


def repeats(words: Sequence[str]) -> int:
    """The most times that a phrase of up to LONGEST_PHRASE words stands in a row: 1 where none does."""
    return max((_repeats(words, length) for length in range(1, LONGEST_PHRASE + 1)), default=1)


def _repeats(words: Sequence[str], length: int) -> int:
    """Of phrases of this length: it is how long the words equal those `length` further on."""
    longest = run = 0
    for word, later in zip(words, words[length:], strict=False):
        run = run + 1 if word == later else 0
        longest = max(longest, run)
    return longest // length + 1


def is_phantom(text: str) -> bool:
    """Whether models are known to write this over noise, or nothing but signs."""
    said = " ".join(_words(text))
    return said in _PHANTOMS or said.startswith(_CREDITS)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


# What films and talks end with, of which the training data is full, and what is written for a sneeze or a
# bark; as _words leaves it. "" is "...".
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
