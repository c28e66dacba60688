"""Measure how often endpointing cuts a turn at a pause, and how late it answers at the end.

    python -m bench.accuracy.turns ../shared/audio/librispeech --count 100

Each recording of read speech is one turn. PocketSphinx aligns its text; at a word boundary between 30 % and
70 % of its words, chosen at random, the recording is cut at its quietest place within 50 ms, and a pause is
inserted: faint noise of a random length. Three seconds of the same noise follow the recording. A session runs
over it with each endpointing in turn, on the same speech probabilities, and gets every answer at once.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from asr.model_registry import load
from asr.recognizer import Hypothesis, RecognitionRequest
from asr.smart_turn import SmartTurn
from audio.clip import HOP, SAMPLE_RATE, Clip, Samples, ms_from_samples, samples_from_ms
from bench.accuracy.corpus import ManifestEntry, pick, read_manifest, speech_span
from bench.accuracy.word_timestamps import Aligner, spoken
from bench.load.machine import machine
from bench.load.message_tape import NOISE
from streaming.effects import DetectHops
from streaming.endpointing import AdaptiveSilence, ModelSilence
from streaming.events import UtteranceEnded
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.utterance import RecognitionTask, TaskKind, TurnQuestion
from vad.detector import Detector
from vad.detector_input import DetectorInput
from vad.options import VadOptions

PAUSE_MS: Final = (400, 1_000)
END_MS: Final = 3_000
SEARCH: Final = samples_from_ms(50)
WINDOW: Final = SAMPLE_RATE // 100
ENDPOINTINGS: Final = {
    **{
        f"fixed, {ms} ms": SessionOptions(vad=VadOptions(silence_ms=ms), eager=False)
        for ms in (300, 500, 700)
    },
    "adaptive": SessionOptions(turn=AdaptiveSilence()),
    "model": SessionOptions(turn=ModelSilence(), eager=False),
}

Recognize = Callable[[RecognitionRequest], Hypothesis]
Judge = Callable[[Clip], float]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Turn:
    """Hold a turn with one pause in it: the positions of the pause and of the end of speech, in samples."""

    samples: Samples
    pause: tuple[int, int]
    end: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what an endpointing did with a turn.

    cut: an utterance ended in the inserted pause
    cut_elsewhere: utterances that ended at other pauses, which the speaker made
    delay_ms: from the end of speech to the decision that ended the last utterance, in ms of audio
    """

    cut: bool
    cut_elsewhere: int
    delay_ms: float


def with_pause(samples: Samples, boundary: int, pause: int, rng: np.random.Generator) -> Turn:
    """Return the turn with a pause of so many samples at the quietest place near a word boundary."""
    low, high = max(WINDOW, boundary - SEARCH), min(len(samples) - WINDOW, boundary + SEARCH)
    places = range(low, high, WINDOW // 2)
    cut = min(places, key=lambda at: float(np.square(samples[at - WINDOW // 2 : at + WINDOW // 2]).sum()))
    noise = rng.standard_normal(pause + samples_from_ms(END_MS), dtype=np.float32) * np.float32(NOISE)
    whole = np.concatenate([samples[:cut], noise[:pause], samples[cut:], noise[pause:]])
    return Turn(whole, (cut, cut + pause), speech_span(samples)[1] + pause)


def make_turns(entries: Sequence[ManifestEntry], rng: np.random.Generator) -> list[Turn]:
    """Return a turn of each recording whose words can be aligned."""
    aligner, turns = Aligner(), []
    for entry in entries:
        samples = entry.read()
        words = aligner.align(Clip(samples), spoken(entry.text))
        pause = samples_from_ms(int(rng.integers(*PAUSE_MS, endpoint=True)))
        if words is not None and len(words) >= 4:
            first = int(rng.integers(len(words) * 3 // 10, len(words) * 7 // 10))
            turns.append(with_pause(samples, words[first].end, pause, rng))
    return turns


def speech_probabilities(detector: Detector, samples: Samples) -> list[float]:
    """Return the speech probability of each hop."""
    hops = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    slot = detector.open()
    try:
        return [float(p) for p in detector.step([DetectorInput(slot, hops)])[0]]
    finally:
        detector.close(slot)


def follow(
    turn: Turn, probabilities: Sequence[float], options: SessionOptions, recognize: Recognize, judge: Judge
) -> Outcome:
    """Run a session over a turn, hop by hop."""
    session = Session(options, hops_per_step=1)
    ends: list[int] = []  # samples judged when an utterance ended
    for number, probability in enumerate(probabilities):
        session.receive_audio(Clip(turn.samples[number * HOP : (number + 1) * HOP], number * HOP))
        while session.effects:
            match session.effects.popleft():
                case DetectHops():
                    session.receive_probabilities([probability])
                case RecognitionTask(TaskKind.EAGER) as task:
                    session.receive_hypothesis(task, recognize(task.request))
                case RecognitionTask() as task:
                    session.receive_hypothesis(task, Hypothesis(""))
                case TurnQuestion() as question:
                    session.receive_turn_probability(question, judge(question.clip))
                case UtteranceEnded():
                    ends.append(session.judged)
    # Speech resumes with the hop after the pause, whose silence may still end the utterance.
    in_pause = [turn.pause[0] < end <= turn.pause[1] + HOP for end in ends]
    before_end = sum(end <= turn.end for end in ends)
    return Outcome(any(in_pause), before_end - sum(in_pause), ms_from_samples(ends[-1] - turn.end))


def timed(call: Callable[[Asked], Answer], seconds: list[float]) -> Callable[[Asked], Answer]:
    """Return a function that calls `call` and adds the seconds that it took to a list."""

    def timed_call(asked: Asked) -> Answer:
        began = time.perf_counter()
        answer = call(asked)
        seconds.append(time.perf_counter() - began)
        return answer

    return timed_call


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return shares in percent and delays in ms."""
    delays = sorted(outcome.delay_ms for outcome in outcomes)
    return {
        "pauses_cut_%": round(100 * statistics.mean(outcome.cut for outcome in outcomes), 1),
        "cuts_elsewhere_per_turn": round(statistics.mean(each.cut_elsewhere for each in outcomes), 2),
        "delay_mean_ms": round(statistics.mean(delays)),
        "delay_p50_ms": round(statistics.median(delays)),
        "delay_p95_ms": round(delays[len(delays) * 95 // 100]),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.turns",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", type=Path, help="a folder with a manifest.jsonl")
    parser.add_argument("--model", default="whisper-tiny.en", help="recognizer of adaptive endpointing")
    parser.add_argument("--count", type=int, default=100, help="turns, spread evenly over the speakers")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    turns = make_turns(pick(read_manifest(given.set), given.count, rng), rng)
    recognizer, model, detector = load(given.model), SmartTurn.load(download=True), Detector.load()

    def transcribe(request: RecognitionRequest) -> Hypothesis:
        return recognizer.transcribe([request])[0]

    heard = [(turn, speech_probabilities(detector, turn.samples)) for turn in turns]
    rows: dict[str, dict[str, Any]] = {}
    for name, options in ENDPOINTINGS.items():
        answers: list[float] = []  # seconds
        recognize = timed(transcribe, answers)
        judge = timed(model.probability, answers)
        rows[name] = summary([follow(turn, hops, options, recognize, judge) for turn, hops in heard])
        if answers:
            rows[name]["answer_p50_ms"] = round(1000 * statistics.median(answers))
        print(name, rows[name])
    load_average = round(os.getloadavg()[0], 1)
    result = {"bench": "turns", "machine": machine(), "load": load_average, "turns": len(turns), "rows": rows}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
