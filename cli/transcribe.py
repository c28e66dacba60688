"""Run the command `transcribe FILE…`: audio and video files to text, subtitles or JSON."""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asr.default_model import is_default_chosen
from asr.devices import choose_device
from asr.errors import AsrError, ModelUnavailable, UnsupportedModel
from asr.model_registry import AUTO
from asr.recognizer import ModelInfo, TranscriptionOptions
from audio.clip import seconds_from_samples
from audio.errors import AudioError
from audio.files import Track
from cli.console import FAILED, OK, print_error
from cli.models import choose_default
from engine.file_transcriber import FileTranscriber, UtteranceFailed
from engine.workers import load_models
from streaming.errors import StreamError
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from transcripts.subtitles import srt_of, vtt_of
from transcripts.transcript import Transcript, json_of, text_of

MAX_CONCURRENT_FILES: Final = 4

WRITERS: Final[dict[str, Callable[[Transcript], str]]] = {
    "text": text_of,
    "srt": srt_of,
    "vtt": vtt_of,
    "json": json_of,
}
SUFFIXES: Final = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json"}
SUBTITLES: Final = frozenset({"srt", "vtt"})


def transcribe(args: argparse.Namespace) -> int:
    """Transcribe all given files; return the exit code. Raises AsrError."""
    names = Counter(path.stem for path in args.files)
    if args.output_dir is None:
        if args.format in SUBTITLES and len(args.files) > 1:
            args.fail(f"the {args.format} of several files needs --output-dir")
    elif duplicates := [name for name, count in names.items() if count > 1]:
        args.fail(f"several files would be written to {duplicates[0]}{SUFFIXES[args.format]}")
    else:
        args.output_dir.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_transcribe_all(args))


async def _transcribe_all(args: argparse.Namespace) -> int:
    """Report errors as they occur; print the transcripts at the end, in the order of the files."""
    words = args.words or args.format in SUBTITLES
    options = SessionOptions(asr=TranscriptionOptions(args.language, args.prompt, words))
    with _progress_bars() as bars:
        loading = bars.add_task("loading the model", total=None)
        async with AsyncExitStack() as stack:
            models, description = await _load(args, stack)
            bars.remove_task(loading)
            files = FileQueue(models, description.model, options, bars, _writer(args), args.track)
            transcripts = await asyncio.gather(*map(files.transcribe, args.files))
    if args.output_dir is None:
        _print_all([transcript for transcript in transcripts if transcript], args.format)
    return FAILED if files.failed else OK


async def _load(args: argparse.Namespace, stack: AsyncExitStack) -> tuple[ModelClients, ModelInfo]:
    if args.model == AUTO and choose_device(args.device) == "cpu" and not is_default_chosen():
        with suppress(ModelUnavailable):  # Then the loaded model says that it is a fallback.
            print_error(choose_default())
    loading = load_models(args.model, device=args.device, dtype=args.dtype)
    try:
        models, description = await stack.enter_async_context(loading)
    except AsrError:
        raise
    except Exception as error:  # For example from torch, for a device that does not exist.
        raise UnsupportedModel(f"{args.model} cannot be loaded: {error}") from error
    if description.fallback:
        print_error(f"warning: {description.fallback}")
    return models, description


def _progress_bars() -> Progress:
    """Return progress bars on stderr for the files in work, shown only on a terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        disable=not sys.stderr.isatty(),
    )


def _writer(args: argparse.Namespace) -> Callable[[Transcript], None]:
    """Return a function that writes a transcript to its file."""

    def write(transcript: Transcript) -> None:
        if args.output_dir is not None:
            name = Path(transcript.source).stem + SUFFIXES[args.format]
            (args.output_dir / name).write_text(WRITERS[args.format](transcript), encoding="utf-8")

    return write


def _print_all(transcripts: Sequence[Transcript], form: str) -> None:
    titled = form == "text" and len(transcripts) > 1
    for transcript in transcripts:
        if titled:
            print(f"==> {transcript.source} <==")
        sys.stdout.write(WRITERS[form](transcript))


class FileQueue:
    """Transcribe files, a few at a time, which share the batches of the models.

    track: index of the audio track; None for the default one of each file
    failed: whether a file could not be read or was recognized only in part
    """

    def __init__(
        self,
        models: ModelClients,
        model: str,
        options: SessionOptions,
        bars: Progress,
        write: Callable[[Transcript], None],
        track: int | None = None,
    ) -> None:
        self.failed = False
        self._track = track
        self._models = models
        self._model = model
        self._options = options
        self._progress = bars
        self._write = write
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_FILES)

    async def transcribe(self, path: Path) -> Transcript | None:
        """Return the transcript; print an error and return None if the file cannot be read."""

        def fail(failure: UtteranceFailed) -> None:
            self._fail(f"{path}: {failure}")

        def show(samples: int) -> None:
            self._progress.update(bar, completed=seconds_from_samples(samples))

        async with self._slots:
            bar = self._progress.add_task(path.name, total=None)
            work = FileTranscriber(path, track=self._track, on_failure=fail, on_progress=show)
            try:
                info = await work.check()
                if len(info.tracks) > 1 and self._track is None:
                    print_error(f"{path}: {_list_of(info.tracks)}; track {info.track.index} is used")
                self._progress.update(bar, total=info.seconds)
                async with aclosing(work.transcribe(self._models, self._options)) as segments:
                    async for _ in segments:
                        pass
            except (OSError, AudioError, StreamError) as error:
                self._fail(f"{path}: {error}")
                return None
            finally:
                self._progress.remove_task(bar)
            for warning in work.warnings:
                print_error(f"{path}: warning: {warning}")
            transcript = work.transcript(str(path), self._model)
            self._write(transcript)
            return transcript

    def _fail(self, message: str) -> None:
        self.failed = True
        print_error(message)


def _list_of(tracks: Sequence[Track]) -> str:
    """Return the tracks in words."""
    described = []
    for track in tracks:
        details = [track.language, track.title, f"channels: {track.channels}", "default" * track.default]
        described.append(f"{track.index} ({', '.join(filter(None, details))})")
    return f"{len(tracks)} audio tracks: {', '.join(described)}"
