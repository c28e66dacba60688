"""Guards: each refuses its sign, and real speech passes all."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.hallucination_filter import (
    FILTERS,
    NAMES,
    REPETITION,
    AcousticEvidence,
    FilterThresholds,
    Strictness,
    is_phantom,
    judge,
    level,
    loudest,
    speech_energy,
    voicing,
)
from asr.recognizer import Hypothesis
from audio.clip import HOP, SAMPLE_RATE, Clip, Samples
from tests.asr import tiny

SAID = Hypothesis("he hoped there would be stew for dinner", no_speech_probability=0.05, avg_log_prob=-0.3)
SPOKEN = AcousticEvidence(seconds=3.0, rms=-20.0, speech_probability=0.8, speech_peak=1.0, voicing=0.95)
DOUBTFUL = replace(SPOKEN, speech_peak=0.9)
BRIEF = replace(DOUBTFUL, seconds=0.6, speech_probability=0.5)  # 0.3 s of speech
GUARDS = FilterThresholds(min_log_prob=-2.0)
OFF, STRICT = FILTERS[Strictness.OFF], FILTERS[Strictness.STRICT]
REJECTING = [name for name in NAMES if name != REPETITION]

# One sign each beside the doubt of the detector: of the text, of the audio.
SIGNS: dict[str, tuple[Hypothesis, AcousticEvidence]] = {
    "rms": (SAID, replace(DOUBTFUL, rms=-70.0)),
    "voicing": (replace(SAID, text="two"), replace(BRIEF, voicing=0.4)),
    "energy": (replace(SAID, text="who", avg_log_prob=-0.6), replace(BRIEF, speech_energy=0.5)),
    "no_speech": (replace(SAID, no_speech_probability=0.7, avg_log_prob=-1.1), DOUBTFUL),
    "log_prob": (replace(SAID, avg_log_prob=-2.5), DOUBTFUL),
    "rate": (SAID, replace(DOUBTFUL, seconds=0.4)),
    "phantom": (replace(SAID, text="Thanks for watching!"), DOUBTFUL),
}


def test_speech_passes() -> None:
    assert judge(SAID, SPOKEN, GUARDS) is None


def test_doubt_of_the_detector_alone_rejects_nothing() -> None:
    assert judge(SAID, replace(DOUBTFUL, speech_peak=0.3), GUARDS) is None


def test_there_is_a_sign_for_every_rejecting_guard() -> None:
    assert list(SIGNS) == REJECTING


@pytest.mark.parametrize("name", REJECTING)
def test_each_sign_rejects_where_the_detector_doubts(name: str) -> None:
    assert judge(*SIGNS[name], GUARDS) == name


@pytest.mark.parametrize("name", REJECTING)
def test_no_sign_rejects_where_the_detector_is_sure(name: str) -> None:
    text, evidence = SIGNS[name]
    assert judge(text, replace(evidence, speech_peak=0.95), GUARDS) is None


@pytest.mark.parametrize("name", REJECTING)
def test_guards_that_are_off_refuse_nothing(name: str) -> None:
    assert judge(*SIGNS[name], OFF) is None


@pytest.mark.parametrize("name", REJECTING)
def test_strict_refuses_whatever_normal_refuses(name: str) -> None:
    text, evidence = SIGNS[name]
    assert judge(text, evidence, FilterThresholds()) is None or judge(text, evidence, STRICT) is not None


def test_strict_refuses_more_and_spares_plain_speech() -> None:
    for text, evidence, guard in (
        (SAID, replace(DOUBTFUL, rms=-55.0), "rms"),
        (replace(SAID, no_speech_probability=0.5, avg_log_prob=-0.8), DOUBTFUL, "no_speech"),
        (replace(SAID, avg_log_prob=-1.1), DOUBTFUL, "log_prob"),
        (replace(SAID, text=" ".join(map(str, range(25)))), DOUBTFUL, "rate"),
        (replace(SAID, text="Thank you."), replace(SPOKEN, speech_peak=0.97), "phantom"),
    ):
        assert (judge(text, evidence, FilterThresholds()), judge(text, evidence, STRICT)) == (None, guard)
    assert judge(SAID, SPOKEN, STRICT) is None


def test_no_text_is_not_refused() -> None:
    assert judge(Hypothesis(""), AcousticEvidence(0.0, -math.inf, 0.0, 0.0), GUARDS) is None


def test_an_unsure_model_is_not_refused_unless_a_floor_is_set() -> None:
    assert judge(replace(SAID, avg_log_prob=-9.0), DOUBTFUL, FilterThresholds()) is None


def test_what_is_not_known_is_not_held_against_a_text() -> None:
    assert judge(Hypothesis("yes"), AcousticEvidence(1.0, -70.0), GUARDS) is None


def test_no_speech_alone_refuses_nothing_where_the_model_is_sure_of_the_text() -> None:
    assert judge(replace(SAID, no_speech_probability=0.85), DOUBTFUL, GUARDS) is None


def test_no_speech_that_is_likelier_than_speech_rejects() -> None:
    """Measured on sneezes and barks; a soft "four" of 100 ms has more speech than no speech."""
    evidence = replace(BRIEF, speech_peak=0.5)
    assert judge(Hypothesis("Woah!", no_speech_probability=0.58), evidence, GUARDS) == "no_speech"
    assert judge(Hypothesis("four", no_speech_probability=0.46), evidence, GUARDS) is None


def test_without_no_speech_words_must_fit_into_the_speech() -> None:
    """Other families than Whisper give no probability of no speech."""
    evidence = replace(BRIEF, speech_peak=0.5, speech_probability=0.15)  # 0.09 s
    assert judge(Hypothesis("woah"), evidence, GUARDS) == "rate"
    assert judge(Hypothesis("woah"), BRIEF, GUARDS) is None


@pytest.mark.parametrize(
    "text", ["Thank you.", "you", "Bye.", "Vielen Dank!", "Untertitel der Amara.org-Community", "Huh?", "…"]
)
def test_a_phantom_phrase_that_was_clearly_said_passes(text: str) -> None:
    """People say thank you."""
    assert is_phantom(text)
    assert judge(replace(SAID, text=text), SPOKEN, GUARDS) is None
    assert judge(replace(SAID, text=text), DOUBTFUL, GUARDS) == "phantom"


@pytest.mark.parametrize(
    ("seconds", "energy", "log_prob", "refused"),
    [
        (0.3, 0.6, -0.6, "energy"),
        (0.3, 0.6, -0.4, None),
        (0.3, 0.65, -0.6, None),
        (0.7, 0.6, -0.6, None),
        (0.3, None, -0.6, None),
    ],
)
def test_a_brief_sound_with_a_doubtful_text_is_loudest_in_its_speech(
    seconds: float, energy: float | None, log_prob: float, refused: str | None
) -> None:
    evidence = replace(DOUBTFUL, seconds=seconds, speech_probability=1.0, speech_energy=energy)
    assert judge(replace(SAID, text="four", avg_log_prob=log_prob), evidence, GUARDS) == refused


def test_a_hiss_is_not_refused_where_speech_goes_on() -> None:
    """As when somebody whispers."""
    assert judge(SAID, replace(DOUBTFUL, voicing=0.4), GUARDS) is None


def test_a_phrase_is_a_phantom_as_a_whole_only() -> None:
    assert not is_phantom("thank you for the stew")
    assert not is_phantom("they watched the subtitles by candle light")


def test_two_words_cut_short_are_not_too_fast() -> None:
    assert judge(replace(SAID, text="oh no"), replace(DOUBTFUL, seconds=0.2), GUARDS) is None


NUMBER = st.floats() | st.none()


@given(
    hypothesis=st.builds(Hypothesis, text=st.text(), no_speech_probability=NUMBER, avg_log_prob=NUMBER),
    evidence=st.builds(
        AcousticEvidence,
        seconds=st.floats(),
        rms=st.floats(),
        speech_probability=NUMBER,
        speech_peak=NUMBER,
        speech_energy=NUMBER,
        voicing=NUMBER,
    ),
    guards=st.builds(
        FilterThresholds,
        sure_peak=NUMBER,
        min_rms=NUMBER,
        min_voicing=NUMBER,
        min_energy=NUMBER,
        energy_log_prob=st.floats(),
        max_no_speech=NUMBER,
        no_speech_log_prob=st.floats(),
        min_log_prob=NUMBER,
        max_rate=NUMBER,
        phantoms=st.booleans(),
        max_repeats=st.integers() | st.none(),
    ),
)
def test_every_text_is_judged_whatever_is_known(
    hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds
) -> None:
    assert judge(hypothesis, evidence, guards) in (None, *REJECTING)
    assert judge(hypothesis, evidence, OFF) is None


def test_the_evidence_is_gathered_from_the_sound_and_the_detector() -> None:
    clip = tiny.babble(4 * HOP / SAMPLE_RATE)
    evidence = AcousticEvidence.of(clip, [0.1, 0.5, 0.9, 0.5])
    assert evidence.seconds == pytest.approx(0.128)
    assert evidence.rms == level(clip.samples)
    assert evidence.voicing == voicing(clip.samples)
    assert evidence.speech_probability == evidence.speech_peak == pytest.approx(0.5)
    assert evidence.speech_seconds == pytest.approx(0.064)


def test_the_detector_is_as_sure_as_in_its_surest_160_ms() -> None:
    """Wherever they lie: a click of one hop does not make speech."""
    sound = Clip(np.zeros(20 * HOP, dtype=np.float32))
    click = AcousticEvidence.of(sound, [0.0] * 10 + [1.0] + [0.0] * 9)
    word = AcousticEvidence.of(sound, [0.0] * 5 + [0.9] * 3 + [0.0] * 10 + [0.9] * 2)
    assert click.speech_peak == pytest.approx(0.2)
    assert word.speech_peak == pytest.approx(0.9)


def test_without_a_detector_nothing_is_said_of_it() -> None:
    evidence = AcousticEvidence.of(tiny.babble(1))
    assert (evidence.speech_probability, evidence.speech_peak, evidence.speech_seconds) == (None, None, None)
    assert evidence.speech_energy is None


def test_loudness_is_that_of_the_loudest_fifth_of_a_second() -> None:
    sound = np.full(3 * SAMPLE_RATE, 0.01, dtype=np.float32)
    assert level(loudest(sound)) == pytest.approx(-40)
    sound[SAMPLE_RATE : SAMPLE_RATE + SAMPLE_RATE // 5] = 0.1
    assert level(loudest(sound)) == pytest.approx(-20)


def test_digital_silence_and_nothing_at_all_are_silent() -> None:
    for silence in (np.zeros(SAMPLE_RATE, dtype=np.float32), np.zeros(0, dtype=np.float32)):
        evidence = AcousticEvidence.of(Clip(silence))
        assert (evidence.rms, evidence.voicing) == (-math.inf, None)


@given(count=st.integers(1, 5000))
def test_a_steady_sound_is_as_loud_however_long_it_is(count: int) -> None:
    assert level(loudest(np.full(count, 0.1, dtype=np.float32))) == pytest.approx(-20, abs=0.5)


@given(count=st.integers(1, 50_000))
def test_the_loudest_stretch_is_whole(count: int) -> None:
    sound = np.linspace(0, 1, count, dtype=np.float32)
    assert len(loudest(sound)) == min(count, SAMPLE_RATE // 5)


@pytest.mark.parametrize(("hertz", "least", "most"), [(200, 0.99, 1), (4000, -0.01, 0.01), (7000, -1, -0.9)])
def test_low_tones_are_voiced_and_high_ones_are_not(hertz: int, least: float, most: float) -> None:
    tone = np.sin(2 * np.pi * hertz / SAMPLE_RATE * np.arange(SAMPLE_RATE)).astype(np.float32)
    assert least <= (voicing(tone) or 0) <= most


def test_noise_is_not_voiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    assert voicing(noise) == pytest.approx(0, abs=0.05)


def burst(loud: slice, hops: int = 20) -> Samples:
    """Return faint noise with a part, in hops, that is 40 dB louder."""
    noise = np.random.default_rng(0).standard_normal((hops, HOP), dtype=np.float32) * np.float32(0.002)
    noise[loud] *= 100
    return noise.reshape(-1)


SPEECH_FROM_5_TO_10 = [0.0] * 5 + [1.0] * 5 + [0.0] * 10


def test_energy_of_speech_is_where_the_detector_hears_it() -> None:
    word, sneeze = (Clip(burst(loud)) for loud in (slice(5, 10), slice(10, 15)))
    assert speech_energy(word, SPEECH_FROM_5_TO_10) == pytest.approx(1, abs=0.01)
    assert speech_energy(sneeze, SPEECH_FROM_5_TO_10) == pytest.approx(0, abs=0.01)


def test_steady_background_does_not_change_the_energy_of_speech() -> None:
    """A hum at the level of the speech."""
    samples = burst(slice(5, 10))
    hum = 0.2 * np.sin(np.arange(len(samples)) * (2 * np.pi * 62.5 / SAMPLE_RATE)).astype(np.float32)
    offset = np.float32(0.1)
    assert speech_energy(Clip(samples + hum + offset), SPEECH_FROM_5_TO_10) == pytest.approx(1, abs=0.1)


@given(start=st.integers(0, 3 * HOP), cut=st.integers(0, 4 * HOP))
def test_energy_is_that_of_the_hops_of_the_stream(start: int, cut: int) -> None:
    """A segment may begin and end within a hop."""
    end = 20 * HOP - cut
    clip = Clip(burst(slice(5, 10))[start:end], start)
    probabilities = SPEECH_FROM_5_TO_10[start // HOP : -(-end // HOP)]
    assert speech_energy(clip, probabilities) == pytest.approx(1, abs=0.01)


def test_constant_energy_says_nothing() -> None:
    silence = np.zeros(20 * HOP, dtype=np.float32)
    for samples in (silence, silence + np.float32(0.5), silence[:0]):
        assert speech_energy(Clip(samples), SPEECH_FROM_5_TO_10) is None
