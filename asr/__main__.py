"""The command line of recognition: `python -m asr models`, `pull ID`, `transcribe FILE…`.

An entry point, as main.py is one: it alone of this room may import stream, which gets files through the
detector and the batches.
"""

import argparse
import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asr import hub
from asr.errors import AsrError, UnsupportedModel
from asr.hypothesis import Description, Options
from asr.models import KNOWN, Model
from asr.subtitles import srt_of, vtt_of
from asr.transcript import Segment, Transcript, json_of, text_of
from audio.clip import seconds_from_samples
from audio.errors import AudioError, DamagedFile
from audio.files import decode_file, probe
from stream.errors import StreamError
from stream.events import Failed
from stream.events import Final as FinalEvent
from stream.models import Models
from stream.offline import transcribe_file
from stream.options import SessionOptions
from stream.workers import load_models

OK: Final = 0
FAILED: Final = 1  # a file or more; the others are done
UNUSABLE: Final = 2  # what was asked for, or the model
INTERRUPTED: Final = 130

FILES_AT_ONCE: Final = 4
HUB_SECONDS: Final = 5.0

WRITERS: Final[dict[str, Callable[[Transcript], str]]] = {
    "text": text_of,
    "srt": srt_of,
    "vtt": vtt_of,
    "json": json_of,
}
SUFFIXES: Final = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json"}
_TITLES: Final = ("model", "family", "languages", "size", "WER %", "licence", "here", "note")
SUBTITLES: Final = frozenset({"srt", "vtt"})
DTYPES: Final = ("auto", "float32", "bfloat16", "float16", "int8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    asked = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)  # what is worth less is told in our own words
    try:
        code: int = asked.run(asked)
    except AsrError as error:
        _complain(str(error))
        return UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asr", description="Models, and what they make of files.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    models = commands.add_parser("models", help="the models that are known, and which of them are here")
    models.set_defaults(run=_models)

    pull = commands.add_parser("pull", help="fetch a model from the hub into the cache")
    pull.add_argument("id", metavar="ID", help="such as UsefulSensors/moonshine-base")
    pull.set_defaults(run=_pull)

    transcribe = commands.add_parser("transcribe", help="write down what is said in files of sound or video")
    transcribe.add_argument("files", metavar="FILE", type=Path, nargs="+")
    transcribe.add_argument("--model", default="auto", help="auto, pocketsphinx, a hub id or a folder")
    transcribe.add_argument("--format", choices=WRITERS, default="text", help="default: text")
    transcribe.add_argument("--output-dir", metavar="DIR", type=Path, help="a file there for each FILE")
    transcribe.add_argument("--language", metavar="CODE", help="ISO 639-1; default: the model's own choice")
    transcribe.add_argument("--prompt", metavar="TEXT", help="words that are likely to occur")
    transcribe.add_argument("--words", action="store_true", help="times of words; subtitles have them anyway")
    transcribe.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    transcribe.add_argument("--dtype", choices=DTYPES, default="auto")
    transcribe.set_defaults(run=_transcribe, fail=transcribe.error)
    return parser


def _models(asked: argparse.Namespace) -> int:
    rows = [_TITLES, *map(_row, KNOWN)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\ncache: {hub.cache_folder()}")
    return OK


def _row(model: Model) -> tuple[str, ...]:
    return (
        model.id,
        model.family,
        _languages(model.languages),
        f"{model.parameters_m} M" if model.parameters_m else "-",
        f"{model.wer:.1f}" if model.wer else "-",
        model.licence,
        _presence(model),
        model.note,
    )


def _languages(codes: tuple[str, ...]) -> str:
    if not codes:
        return "about 100"
    return " ".join(codes) if len(codes) <= 3 else str(len(codes))


def _presence(model: Model) -> str:
    if model.family == model.id:
        return "built in"
    folder = hub.cached(model.id)
    if folder is None:
        return "-"
    weights = any(path.suffix in (".safetensors", ".bin") for path in folder.iterdir())
    return "cached" if weights else "in part"


def _pull(asked: argparse.Namespace) -> int:
    print(hub.fetch(asked.id, HUB_SECONDS))
    return OK


def _transcribe(asked: argparse.Namespace) -> int:
    names = Counter(path.stem for path in asked.files)
    if asked.output_dir is None:
        if asked.format in SUBTITLES and len(asked.files) > 1:
            asked.fail(f"the {asked.format} of several files needs --output-dir")
    elif twice := [name for name, count in names.items() if count > 1]:
        asked.fail(f"several files would be written to {twice[0]}{SUFFIXES[asked.format]}")
    else:
        asked.output_dir.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_transcribe_all(asked))


async def _transcribe_all(asked: argparse.Namespace) -> int:
    """Files that failed are told as they fail; what goes to stdout goes there at the end, in order."""
    words = asked.words or asked.format in SUBTITLES
    options = SessionOptions(asr=Options(asked.language, asked.prompt, words))
    with _bars() as bars:
        loading = bars.add_task("loading the model", total=None)
        async with AsyncExitStack() as stack:
            models, description = await _load(asked, stack)
            bars.remove_task(loading)
            desk = Desk(models, description.model, options, bars, _keeper(asked))
            transcripts = await asyncio.gather(*map(desk.transcribe, asked.files))
    if asked.output_dir is None:
        _print_all([transcript for transcript in transcripts if transcript], asked.format)
    return FAILED if desk.failed else OK


async def _load(asked: argparse.Namespace, stack: AsyncExitStack) -> tuple[Models, Description]:
    loading = load_models(asked.model, device=asked.device, dtype=asked.dtype)
    try:
        models, description = await stack.enter_async_context(loading)
    except AsrError:
        raise
    except Exception as error:  # of torch, say, where there is no such device
        raise UnsupportedModel(f"{asked.model} cannot be loaded here: {error}") from error
    if description.fallback:
        _complain(f"warning: {description.fallback}")
    return models, description


def _bars() -> Progress:
    """Of files under way, on stderr, if somebody is looking."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        disable=not sys.stderr.isatty(),
    )


def _keeper(asked: argparse.Namespace) -> Callable[[Transcript], None]:
    """Writes a transcript to its file as soon as it is there."""

    def keep(transcript: Transcript) -> None:
        if asked.output_dir is not None:
            name = Path(transcript.source).stem + SUFFIXES[asked.format]
            (asked.output_dir / name).write_text(WRITERS[asked.format](transcript), encoding="utf-8")

    return keep


def _print_all(transcripts: Sequence[Transcript], form: str) -> None:
    titled = form == "text" and len(transcripts) > 1
    for transcript in transcripts:
        if titled:
            print(f"==> {transcript.source} <==")
        sys.stdout.write(WRITERS[form](transcript))


class Desk:
    """Where files are transcribed, a few at a time; they share the models' batches.

    failed: whether some file could not be read, or not all of it be recognised
    """

    def __init__(
        self,
        models: Models,
        model: str,
        options: SessionOptions,
        bars: Progress,
        keep: Callable[[Transcript], None],
    ) -> None:
        self.failed = False
        self._models = models
        self._model = model
        self._options = options
        self._bars = bars
        self._keep = keep
        self._places = asyncio.Semaphore(FILES_AT_ONCE)

    async def transcribe(self, path: Path) -> Transcript | None:
        """None if the file cannot be read; why is told."""
        async with self._places:
            bar = self._bars.add_task(path.name, total=None)
            segments: list[Segment] = []
            try:
                info = await asyncio.to_thread(probe, path)
                self._bars.update(bar, total=info.seconds)
                await self._follow(path, bar, segments)
            except DamagedFile as error:
                _complain(f"{path}: warning: {error}")
            except (OSError, AudioError, StreamError) as error:
                self._fail(f"{path}: {error}")
                return None
            finally:
                self._bars.remove_task(bar)
            transcript = Transcript(str(path), self._model, tuple(segments))
            self._keep(transcript)
            return transcript

    async def _follow(self, path: Path, bar: TaskID, segments: list[Segment]) -> None:
        def show(samples: int) -> None:
            self._bars.update(bar, completed=seconds_from_samples(samples))

        events = transcribe_file(decode_file(path), self._models, self._options, show)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, FinalEvent) and event.hypothesis.text:
                    segments.append(Segment(event.clip.start, event.clip.end, event.hypothesis))
                elif isinstance(event, Failed):
                    self._fail(f"{path}: {_range(event)} could not be transcribed: {event.message}")

    def _fail(self, message: str) -> None:
        self.failed = True
        _complain(message)


def _range(failed: Failed) -> str:
    return f"{seconds_from_samples(failed.start):.1f} to {seconds_from_samples(failed.end):.1f} s"


def _complain(message: str) -> None:
    print(f"asr: {message}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
