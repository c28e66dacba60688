"""Run the command line: `python -m cli` with `transcribe`, `convert`, `models`, `pull`, `keys` or `jobs`.

Each command imports what it needs when it runs, so `keys` loads no model code.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from asr.errors import AsrError
from cli.console import FAILED, INTERRUPTED, UNUSABLE, print_error

# Set before numpy is imported: the detector's products are too small for several threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

MAX_SPEAKERS: Final = 20  # as in diarization.clustering, which imports numpy
FORMATS: Final = ("text", "srt", "vtt", "ass", "md", "docx", "json", "mp4")
REDACTIONS: Final = ("numbers", "aggressive_numbers", "pci", "ssn", "phone_number", "email_address")
DTYPES: Final = ("auto", "float32", "bfloat16", "float16", "int8")
JOB_FORMATS: Final = ("text", "srt", "vtt", "ass", "md", "json")
UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    args = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)  # the commands report warnings themselves
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except AsrError as error:
        print_error(str(error))
        return UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # For example of `| head`. Python would fail when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def silence(text: str) -> int | None:
    """Return a silence in milliseconds; None for `auto`. Raises ValueError."""
    if text == "auto":
        return None
    from vad.options import VadOptions

    return VadOptions(silence_ms=int(text)).silence_ms


def expiry(text: str) -> datetime:
    """Return the time for a duration from now (`30d`, `12h`, `4w`) or for a time in ISO 8601.

    Raises ValueError.
    """
    length = re.fullmatch(r"([0-9]{1,4})([hdw])", text)
    if length:
        return datetime.now(UTC).replace(microsecond=0) + int(length[1]) * UNITS[length[2]]
    return datetime.fromisoformat(text).astimezone(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cli", description="Transcribe files; manage models, keys and jobs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_transcribe(commands.add_parser("transcribe", help="transcribe audio and video files"))
    _add_convert(
        commands.add_parser("convert", help="convert edited SRT or WebVTT subtitles to another format")
    )
    models = commands.add_parser("models", help="list the known models, and which of them are downloaded")
    models.set_defaults(run=_models)
    _add_pull(commands.add_parser("pull", help="download models into the cache"))
    _add_keys(commands.add_parser("keys", help="create, list and revoke the API keys in a file"))
    _add_jobs(commands.add_parser("jobs", help="submit files as jobs of a server, and read their text"))
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="audio or video; - for stdin")
    parser.add_argument(
        "--model",
        help="auto, whisper-base, whisper-tiny.en, pocketsphinx, a hub id or a folder; default: ASR_MODEL of "
        "the environment or of .env, or else auto",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="mp4: subtitles in the picture; default: text"
    )
    parser.add_argument("--output-dir", metavar="DIR", type=Path, help="write a file there for each FILE")
    parser.add_argument("--language", metavar="CODE", help="ISO 639-1; default: the model's own choice")
    parser.add_argument("--prompt", metavar="TEXT", help="text or words that are likely to occur")
    parser.add_argument(
        "--words", action="store_true", help="add the times of words to JSON; subtitles always use them"
    )
    parser.add_argument(
        "--track", metavar="N", type=int, help="audio track of each FILE, from 0; default: its default track"
    )
    parser.add_argument(
        "--chunking",
        metavar="MS",
        type=silence,
        help="silence that ends a segment, in ms, as in a live stream; default: auto, segments of up to 30 s "
        "that end at long silences",
    )
    parser.add_argument(
        "--start", metavar="SECONDS", type=float, default=0.0, help="transcribe from there on"
    )
    parser.add_argument("--end", metavar="SECONDS", type=float, help="transcribe up to there")
    parser.add_argument(
        "--redact",
        metavar="KIND",
        choices=REDACTIONS,
        nargs="+",
        default=[],
        help="show only the names of these",
    )
    parser.add_argument("--profanity-filter", action="store_true", help="write swear words as asterisks")
    parser.add_argument(
        "--summarize", action="store_true", help="add a summary, by SUMMARY_URL or of chosen sentences"
    )
    parser.add_argument(
        "--chapters", action="store_true", help="add chapters to json, md and docx, by SUMMARY_URL"
    )
    parser.add_argument(
        "--diarize", action="store_true", help="distinguish speakers; their model is downloaded if need be"
    )
    parser.add_argument(
        "--speaker-model",
        metavar="MODEL",
        default="",
        help="with --diarize: folder or hub id of another model, such as nvidia/Nemotron-3-Diarization",
    )
    parser.add_argument(
        "--multichannel",
        action="store_true",
        help="transcribe each channel apart, as the speech of one speaker",
    )
    parser.add_argument("--min-speakers", metavar="N", type=int, default=1, help="default: 1")
    parser.add_argument(
        "--max-speakers", metavar="N", type=int, default=MAX_SPEAKERS, help=f"default: {MAX_SPEAKERS}"
    )
    parser.add_argument(
        "--punctuation-model",
        metavar="MODEL",
        default="",
        help="folder or hub id of a model that restores punctuation, if MODEL writes bare words",
    )
    parser.add_argument(
        "--cuts", action="store_true", help="let no subtitle stay over a cut of the picture; takes longer"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", choices=DTYPES, default="auto")
    parser.set_defaults(run=_transcribe, fail=parser.error)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="subtitles in SubRip (SRT) or WebVTT, UTF-8; - for stdin"
    )
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--output", metavar="FILE", type=Path, help="default: stdout")
    parser.add_argument(
        "--video", metavar="FILE", type=Path, help="with mp4: the video into whose picture they are drawn"
    )
    parser.set_defaults(run=_convert, fail=parser.error, words=False)


def _add_pull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="auto (what a server runs by default), a name such as whisper-base, or an id of the hub such as "
        "UsefulSensors/moonshine-base",
    )
    parser.add_argument(
        "--verify", action="store_true", help="hash the files again, and replace them if they are damaged"
    )
    parser.set_defaults(run=_pull)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="create a key and print it once; only its hash is stored")
    new.add_argument("--expires", type=expiry, help="30d, 12h, 4w, or a time as 2030-01-31T12:00+00:00")
    new.add_argument("--sessions", type=int, help="most sessions that the key may have open at once")
    new.add_argument(
        "--audio-seconds-per-hour", type=float, help="most seconds of audio that the key may send per hour"
    )
    revoke = commands.add_parser("revoke", help="remove a key; its sessions end within seconds")
    for each in (new, revoke):
        each.add_argument("name", metavar="NAME")
    for each in (new, revoke, commands.add_parser("list", help="print names, limits and expiries")):
        each.add_argument("--file", type=Path, required=True)
    parser.set_defaults(run=_keys)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    submit = commands.add_parser("submit", help="submit files or http(s) addresses, and print the jobs' ids")
    submit.add_argument("sources", metavar="FILE|URL", nargs="+")
    submit.add_argument("--wait", action="store_true", help="wait for the texts, and print them instead")
    submit.add_argument("--model", help="a name of the server's /v1/models; default: the server's")
    submit.add_argument("--language", metavar="CODE", help="ISO 639-1; default: the model's own choice")
    submit.add_argument("--prompt", metavar="TEXT", help="text that may precede the audio")
    submit.add_argument("--hotwords", metavar="WORDS", help="likely words and phrases, separated by commas")
    submit.add_argument("--start", type=float, metavar="S", help="second of the file to begin at")
    submit.add_argument("--end", type=float, metavar="S", help="second of the file to end at")
    submit.add_argument("--track", type=int, metavar="N", help="number of the audio track, from 0 on")
    submit.add_argument("--translate", action="store_true", help="translate into English")
    voices = submit.add_mutually_exclusive_group()
    voices.add_argument("--diarize", action="store_true", help="distinguish speakers over the whole file")
    voices.add_argument(
        "--multichannel",
        action="store_true",
        help="transcribe each channel apart, as the speech of one speaker",
    )
    submit.add_argument("--min-speakers", metavar="N", type=int, help="default: 1")
    submit.add_argument("--max-speakers", metavar="N", type=int, help=f"default: {MAX_SPEAKERS}")
    submit.add_argument(
        "--redact", choices=REDACTIONS, nargs="+", default=[], help="store only the names of these"
    )
    submit.add_argument("--profanity-filter", action="store_true", help="store swear words as asterisks")
    submit.add_argument(
        "--summarize", action="store_true", help="add a summary, which the formats json, md and docx show"
    )
    submit.add_argument(
        "--chapters", action="store_true", help="add chapters, which the formats json, md and docx show"
    )
    submit.add_argument("--callback", metavar="URL", help="where the end of each job is reported")
    submit.add_argument("--low", action="store_true", help="run it when no normal job waits")
    submit.add_argument("--metadata", metavar="TEXT", help="text that `show` returns unchanged")
    wait = commands.add_parser("wait", help="wait for jobs, and print their texts")
    for each in (submit, wait):
        each.add_argument("--format", choices=JOB_FORMATS, default="text", help="default: text")
    show = commands.add_parser("show", help="print jobs as JSON")
    cancel = commands.add_parser("cancel", help="cancel jobs that have not ended")
    delete = commands.add_parser("delete", help="delete jobs with their audio and their text")
    for each in (wait, show, cancel, delete):
        each.add_argument("ids", metavar="ID", nargs="+")
    listing = commands.add_parser("list", help="print the jobs of the key, the newest first")
    listing.add_argument("--status", default="", help="only these states, separated by commas")
    for each in (submit, listing, show, wait, cancel, delete):
        each.add_argument(
            "--url", help="default: where the environment and .env say that the server listens (HOST, PORT)"
        )
        each.add_argument(
            "--key", help="default: STT_API_KEY, and without --url the first of API_KEYS, also in .env"
        )
    parser.set_defaults(run=_jobs)


def _transcribe(args: argparse.Namespace) -> int:
    from cli.transcribe import transcribe

    return transcribe(args)


def _convert(args: argparse.Namespace) -> int:
    from cli.convert import convert

    return convert(args)


def _models(args: argparse.Namespace) -> int:
    from cli.models import print_models

    return print_models()


def _pull(args: argparse.Namespace) -> int:
    from cli.models import pull

    return pull(args.models, verify=args.verify)


def _keys(args: argparse.Namespace) -> int:
    from cli.keys import run

    return run(args)


def _jobs(args: argparse.Namespace) -> int:
    from cli.jobs import run

    return run(args)


if __name__ == "__main__":
    raise SystemExit(main())
