"""Count the spoken words that the filter removes, and the words that it lets through without speech.

    python -m bench.accuracy.kept_words --model whisper-base

Each clip of speech runs through a session of its own: voice detection, recognition, filter. Groups:

answers: short answers, farewells and digits, synthesised with flite
repeats: sentences and calls that repeat words, synthesised with flite
digits: recorded digits of telephones
pieces: one to four words cut out of read speech

The synthesised clips are used clean, and in noise over a telephone line (8 kHz, mu-law). With them run
recordings without speech, joined with gaps: every word of their finals is invented. The gaps differ in each
run, and with them what the detector takes for speech.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from asr.hallucination_filter import FILTERS, Strictness
from asr.model_registry import load
from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.codecs import Encoding, Format, SampleReader
from audio.encoder import encode
from bench import ROOT
from bench.accuracy.audio_io import read_sound
from bench.accuracy.corpus import distribute, join, pick, read_manifest
from bench.accuracy.text_metrics import compare
from bench.accuracy.word_timestamps import Aligner, spoken
from bench.load.machine import machine
from bench.load.message_tape import NOISE
from streaming.effects import DetectHops
from streaming.events import FinalTranscript
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.utterance import RecognitionTask
from vad.detector import Detector
from vad.detector_input import DetectorInput
from vad.segmenter import Reason

AUDIO: Final = ROOT.parent / "shared" / "audio"
VOICES: Final = ("slt", "rms", "awb")
DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ANSWERS: Final = (
    *("yes", "no", "bye", "goodbye", "bye bye", "thank you", "thanks", "okay", "hello", "stop", "right"),
    *("you", *DIGITS),
)
REPEATS: Final = (
    "i said to him no no no no no no no and then he finally went away",
    "no no no no no no no no",
    "testing testing testing testing testing testing testing the microphone",
    "five five five five five five zero one nine nine",
    "he ran and ran and ran and ran and ran and ran and ran all the way home",
    "yes yes yes yes yes yes i will be there at nine",
)
TELEPHONE: Final = Encoding(Format.PCMU, 8_000)
TELEPHONE_SNR_DB: Final = 15.0
GAP_SECONDS: Final = (0.6, 2.5)  # between recordings without speech
NONSPEECH_STREAMS: Final = 8
MAX_PIECE_WORDS: Final = 4


@dataclass(frozen=True, slots=True)
class Case:
    """Hold a clip of speech with its words: float32 (n,) at 16 kHz, without silence around it."""

    group: str
    words: tuple[str, ...]
    samples: Samples


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold the final of a segment and what the recognizer said before the filter."""

    final: FinalTranscript
    recognized: Hypothesis

    @property
    def is_voided(self) -> bool:
        """Whether the filter removed the whole text."""
        return bool(self.recognized.text) and not self.final.hypothesis.text


def words_of(text: str) -> list[str]:
    """Return the words in lower case, with digits spelled out one by one."""
    spelled = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower())
    return re.findall(r"[^\W_']+(?:'[^\W_]+)?", spelled)


def synthesize(text: str, voice: str) -> Samples:
    """Return a text spoken by a voice of flite, without silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples = read_sound(path, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]


def over_telephone(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return speech in white noise, after a telephone line."""
    level = np.sqrt(np.mean(np.square(samples))) * 10 ** (-TELEPHONE_SNR_DB / 20)
    noisy = samples + level * rng.standard_normal(len(samples), dtype=np.float32)
    line = SampleReader(TELEPHONE).read(encode(noisy.astype(np.float32), TELEPHONE))
    heard: Samples = soxr.resample(line, TELEPHONE.sample_rate, SAMPLE_RATE).astype(np.float32)
    return heard


def spoken_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yield the synthesised clips."""
    for group, texts in (("answers", ANSWERS), ("repeats", REPEATS)):
        for text in texts:
            for voice in VOICES:
                clean = with_margins(synthesize(text, voice), rng)
                yield Case(group, tuple(text.split()), clean)
                yield Case(f"{group}, telephone", tuple(text.split()), over_telephone(clean, rng))


def recorded_cases(rng: np.random.Generator, most: int) -> Iterator[Case]:
    """Yield recorded digits, and pieces of read speech cut at the boundaries of words."""
    for entry in pick(read_manifest(AUDIO / "telephone_8k_digits"), most, rng):
        yield Case("digits", tuple(entry.text.split()), with_margins(entry.read(), rng))
    aligner = Aligner()
    for entry in pick(read_manifest(AUDIO / "librispeech"), most, rng):
        clip = Clip(entry.read())
        words = aligner.align(clip, spoken(entry.text))
        if words is not None and len(words) > MAX_PIECE_WORDS:
            count = int(rng.integers(1, MAX_PIECE_WORDS, endpoint=True))
            first = int(rng.integers(len(words) - count))
            cut = words[first : first + count]
            samples = clip.samples[cut[0].start : cut[-1].end]
            yield Case("pieces", tuple(word.text for word in cut), with_margins(samples, rng))


def with_margins(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples between faint noise: half a second before, a second after."""
    before, after = (
        rng.standard_normal(count, dtype=np.float32) * np.float32(NOISE)
        for count in (SAMPLE_RATE // 2, SAMPLE_RATE)
    )
    return np.concatenate([before, samples, after])


def run_session(
    samples: Samples,
    detector: Detector,
    recognize: Callable[[RecognitionRequest], Hypothesis],
    options: SessionOptions,
) -> list[Segment]:
    """Run a session over samples and return its segments."""
    session = Session(options)
    slot = detector.open()
    recognized: dict[int, Hypothesis] = {}
    segments: list[Segment] = []

    def carry_out() -> None:
        while session.effects:
            match session.effects.popleft():
                case DetectHops(hops):
                    (probabilities,) = detector.step([DetectorInput(slot, hops)])
                    session.receive_probabilities([float(each) for each in probabilities])
                case RecognitionTask() as task:
                    recognized[task.utterance] = recognize(task.request)
                    session.receive_hypothesis(task, recognized[task.utterance])
                case FinalTranscript() as final:
                    segments.append(Segment(final, recognized[final.utterance]))

    try:
        for start in range(0, len(samples), SAMPLE_RATE):
            session.receive_audio(Clip(samples[start : start + SAMPLE_RATE], start))
            carry_out()
        session.receive_end(Reason.END_OF_STREAM)
        carry_out()
    finally:
        detector.close(slot)
    return segments


def correct_words(reference: Sequence[str], texts: Sequence[str]) -> int:
    """Return how many words of the reference are in the texts, in order."""
    errors = compare(reference, words_of(" ".join(texts))).errors
    return errors.words - errors.substitutions - errors.deletions


def figures(cases: Sequence[tuple[Case, Sequence[Segment]]]) -> dict[str, Any]:
    """Return what the recognizer got right and what the filter took of it.

    undetected: clips without a segment; silent: clips whose recognizer wrote nothing
    voided: segments whose text the filter removed; extra: words of the finals beyond those spoken
    """
    before = after = extra = 0
    for case, segments in cases:
        before += correct_words(case.words, [each.recognized.text for each in segments])
        kept = [each.final.hypothesis.text for each in segments]
        after += correct_words(case.words, kept)
        extra += max(0, len(words_of(" ".join(kept))) - len(case.words))
    segments = [each for _, group in cases for each in group]
    return {
        "clips": len(cases),
        "words": sum(len(case.words) for case, _ in cases),
        "undetected": sum(not group for _, group in cases),
        "without_text": sum(not each.recognized.text for each in segments),
        "right_before": before,
        "right_after": after,
        "extra": extra,
        "voided": sum(each.is_voided for each in segments),
        "by": dict(Counter(each.final.guard for each in segments if each.final.guard)),
    }


def nonspeech_figures(segments: Sequence[Segment], seconds: float) -> dict[str, Any]:
    """Return the words written for recordings without speech, before and after the filter."""
    return {
        "minutes": round(seconds / 60, 1),
        "segments": len(segments),
        "words_before": sum(len(words_of(each.recognized.text)) for each in segments),
        "words_after": sum(len(words_of(each.final.hypothesis.text)) for each in segments),
        "by": dict(Counter(each.final.guard for each in segments if each.final.guard)),
    }


def show(name: str, spoken_words: Sequence[str], segments: Sequence[Segment]) -> None:
    """Print what was said and written, and what the filter left."""
    for each in segments:
        texts = f"{each.recognized.text!r} -> {each.final.hypothesis.text!r}"
        print(f"  {name}: {' '.join(spoken_words)!r} {texts} {each.final.guard or ''}")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.kept_words",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="whisper-tiny.en", help="a value of ASR_MODEL")
    parser.add_argument("--filter", default="normal", choices=list(Strictness), help="HALLUCINATION_FILTER")
    parser.add_argument("--most", type=int, default=80, help="most recorded digits, and most pieces")
    parser.add_argument(
        "--nonspeech-runs", type=int, default=4, help="how often to use recordings without speech"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print every text")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    given = arguments()
    if not AUDIO.is_dir() or shutil.which("flite") is None:
        raise SystemExit(f"This benchmark needs {os.path.relpath(AUDIO)} and the command flite.")
    recognizer, detector = load(given.model), Detector.load()
    options = SessionOptions(eager=False, guards=FILTERS[Strictness(given.filter)])
    rng = np.random.default_rng(given.seed)

    def segments_of(samples: Samples) -> list[Segment]:
        def recognize(request: RecognitionRequest) -> Hypothesis:
            return recognizer.transcribe([request])[0]

        return run_session(samples, detector, recognize, options)

    groups: dict[str, list[tuple[Case, list[Segment]]]] = {}
    for case in (*spoken_cases(rng), *recorded_cases(rng, given.most)):
        segments = segments_of(case.samples)
        groups.setdefault(case.group, []).append((case, segments))
        if given.verbose:
            show(case.group, case.words, segments)
    invented: list[Segment] = []
    seconds = 0.0
    entries_of = distribute(read_manifest(AUDIO / "nonspeech"), NONSPEECH_STREAMS)
    for entries in entries_of * given.nonspeech_runs:
        recording = join(entries, rng, GAP_SECONDS)
        seconds += recording.seconds
        invented += segments_of(recording.samples)
    show("nonspeech", (), invented)
    rows = {name: figures(cases) for name, cases in groups.items()}
    rows["nonspeech"] = nonspeech_figures(invented, seconds)
    for name, row in rows.items():
        print(name, row)
    head = {"bench": "kept_words", "model": recognizer.description.model, "machine": machine()}
    print(json.dumps({**head, "load": round(os.getloadavg()[0], 1), "rows": rows}))


if __name__ == "__main__":
    main()
