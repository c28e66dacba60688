"""Transcribe the files of shared/cases, and compare each with what is right.

    python -m bench.accuracy.cases --model whisper-base

Each file once broke a speech server; the README of the folder says what is right. Files are read as requests
and the command line read them (`FileTranscriber`). Phrases are compared without case and punctuation.
"""

import argparse
import asyncio
import json
import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from asr.recognizer import TranscriptionOptions
from audio.clip import seconds_from_samples
from audio.errors import AudioError, NoAudio
from bench import ROOT
from bench.accuracy.kept_words import words_of
from bench.load.machine import machine
from engine.file_transcriber import FileTranscriber
from engine.workers import load_models
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from transcripts.transcript import Transcript

FOLDER: Final = ROOT.parent / "shared" / "cases"
LJ: Final = ("produced the block books which were the immediate predecessors of the true printed book",)
JFK: Final = ("and so my fellow americans", "ask")


@dataclass(frozen=True, slots=True)
class Right:
    """Hold what is right for a file.

    phrases: stand in the text in this order, without case and punctuation, and with digits spelled out
    exactly: nothing else stands in the text
    starts: seconds at which some segment begins, give or take 0.4 s
    languages: of the segments, in order; None if they do not matter. They need a model that knows them
    error: type of the error in place of a text
    """

    phrases: tuple[str, ...] = ()
    exactly: bool = True
    starts: tuple[float, ...] = ()
    languages: tuple[str, ...] | None = None
    error: type[AudioError] | None = None


CASES: Final[dict[str, Right]] = {
    "rep_no_sentence.wav": Right(("him no no", "and then he finally left the", "and went home"), False),
    "rep_testing.wav": Right(("testing", "testing one two three"), False),
    "c_bye_slt.wav": Right(("bye",)),
    "n_bye_slt.wav": Right(("bye",)),
    "c_gap20.webm": Right(LJ, starts=(22.1,)),
    "c_vbr_noxing_silence_first.mp3": Right(LJ),
    "c_joined_rates.mp3": Right(LJ * 2),
    "c_video_audio_delay3.mp4": Right(LJ, starts=(3.0,)),
    "c_two_tracks_second_default.mkv": Right(LJ),
    "d_four_4_theo_1.wav": Right(("four",)),
    "f_yes_slt.wav": Right(("yes",)),
    "pause_digits.wav": Right(("my number is five five five zero one nine nine two three four",)),
    "wav_len_half.wav": Right(JFK),
    "wav_header_only.wav": Right(error=NoAudio),
    "c_mediarec_110.webm": Right(error=NoAudio),
    "snd_speech_90s_speech.flac": Right(JFK * 2, starts=(94.0,)),
    "lang_de_en_es.wav": Right(
        ("schalte das wohnzimmerlicht ein", "turn on the living", "enciende la luz del salón"),
        False,
        languages=("de", "en", "es"),
    ),
    "c_mediarec.webm": Right(LJ),
    "c_mediarec_cut.webm": Right(("produced the block books which were the immediate",), False),
    "c_frag.mp4": Right(LJ),
    "c_opus_chained.ogg": Right(LJ * 2),
    "wav_extensible16.wav": Right(JFK),
    "wav_rf64.wav": Right(JFK),
    "wav_len_ffffffff.wav": Right(JFK),
}
TOLERANCE: Final = 0.4  # seconds


def faults(right: Right, transcript: Transcript) -> list[str]:
    """Return what is wrong with a transcript."""
    found = []
    words, rest = words_of(transcript.text), words_of(" ".join(right.phrases))
    if right.exactly and words != rest:
        found.append(f"the text should be {' '.join(rest)!r}")
    text = f" {' '.join(words)} "
    for phrase in right.phrases:
        _, match, text = text.partition(f" {phrase} ")
        text = f" {text}"
        if not match:
            found.append(f"{phrase!r} is missing")
            break
    starts = [seconds_from_samples(segment.start) for segment in transcript.segments]
    found += [
        f"no segment begins at {wanted} s"
        for wanted in right.starts
        if not any(abs(start - wanted) <= TOLERANCE for start in starts)
    ]
    languages = tuple(segment.hypothesis.language for segment in transcript.segments)
    if right.languages is not None and languages != right.languages:
        found.append(f"the languages should be {', '.join(right.languages)}")
    return found


async def judge(name: str, right: Right, models: ModelClients, options: SessionOptions) -> dict[str, Any]:
    """Transcribe a file, and return what is wrong with it, and its segments."""
    work = FileTranscriber(FOLDER / name)
    try:
        await work.check()
        async with aclosing(work.transcribe(models, options)) as segments:
            async for _ in segments:
                pass
    except AudioError as error:
        wrong = [] if type(error) is right.error else [f"{type(error).__name__}: {error}"]
        return {"wrong": wrong, "error": str(error)}
    transcript = work.transcript(name, "")
    wrong = faults(right, transcript) if right.error is None else ["there should be an error"]
    return {
        "wrong": wrong,
        "segments": [
            (seconds_from_samples(each.start), each.hypothesis.language, each.hypothesis.text)
            for each in transcript.segments
        ],
        "warnings": work.warnings,
    }


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.cases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="whisper-base", help="a value of ASR_MODEL")
    return parser.parse_args()


async def run(model: str) -> None:
    """Judge all files, and print a line of JSON."""
    options = SessionOptions(asr=TranscriptionOptions(words=True)).for_file()
    rows = {}
    async with load_models(model) as (models, description):
        for name, right in CASES.items():
            rows[name] = await judge(name, right, models, options)
            print(name, *rows[name]["wrong"] or ["is right"], sep="\n    ")
    wrong = [name for name, row in rows.items() if row["wrong"]]
    print(f"{len(rows) - len(wrong)} of {len(rows)} are right")
    head = {"bench": "cases", "model": description.model, "machine": machine()}
    print(json.dumps({**head, "load": round(os.getloadavg()[0], 1), "rows": rows}, ensure_ascii=False))


def main() -> None:
    """Run the benchmark."""
    given = arguments()
    if not FOLDER.is_dir():
        raise SystemExit(f"This benchmark needs {os.path.relpath(FOLDER)}.")
    asyncio.run(run(given.model))


if __name__ == "__main__":
    main()
