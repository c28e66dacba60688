"""`transcribe FILE…`: files of audio and video to text, subtitles or JSON."""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asr.errors import AsrError, UnsupportedModel
from asr.recognizer import ModelInfo, TranscriptionOptions
from audio.clip import seconds_from_samples
from audio.errors import AudioError, DamagedFile
from cli.console import FAILED, OK, complain
from engine.file_transcriber import FileTranscriber, UtteranceFailed
from engine.workers import load_models
from streaming.errors import StreamError
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from transcripts.subtitles import srt_of, vtt_of
from transcripts.transcript import Transcript, json_of, text_of

FILES_AT_ONCE: Final = 4

WRITERS: Final[dict[str, Callable[[Transcript], str]]] = {
    "text": text_of,
    "srt": srt_of,
    "vtt": vtt_of,
    "json": json_of,
}
SUFFIXES: Final = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json"}
SUBTITLES: Final = frozenset({"srt", "vtt"})


def transcribe(asked: argparse.Namespace) -> int:
    """Transcribe all files that are asked for; return the exit code. Raises AsrError."""
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
    """Report errors as they occur; print the transcripts at the end, in the order of the files."""
    words = asked.words or asked.format in SUBTITLES
    options = SessionOptions(asr=TranscriptionOptions(asked.language, asked.prompt, words))
    with _bars() as bars:
        loading = bars.add_task("loading the model", total=None)
        async with AsyncExitStack() as stack:
            models, description = await _load(asked, stack)
            bars.remove_task(loading)
            files = Files(models, description.model, options, bars, _keeper(asked))
            transcripts = await asyncio.gather(*map(files.transcribe, asked.files))
    if asked.output_dir is None:
        _print_all([transcript for transcript in transcripts if transcript], asked.format)
    return FAILED if files.failed else OK


async def _load(asked: argparse.Namespace, stack: AsyncExitStack) -> tuple[ModelClients, ModelInfo]:
    loading = load_models(asked.model, device=asked.device, dtype=asked.dtype)
    try:
        models, description = await stack.enter_async_context(loading)
    except AsrError:
        raise
    except Exception as error:  # of torch, say, where there is no such device
        raise UnsupportedModel(f"{asked.model} cannot be loaded here: {error}") from error
    if description.fallback:
        complain(f"warning: {description.fallback}")
    return models, description


def _bars() -> Progress:
    """Progress of the files under way, on stderr, if it is a terminal."""
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
    """Return what writes a transcript to its file as soon as it is there."""

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


class Files:
    """Transcribes files, a few at a time; they share the models' batches.

    failed: whether a file could not be read, or not all of it be recognised
    """

    def __init__(
        self,
        models: ModelClients,
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
        """Return the transcript; None if the file cannot be read, which is reported."""

        def fail(failure: UtteranceFailed) -> None:
            self._fail(f"{path}: {failure}")

        def show(samples: int) -> None:
            self._bars.update(bar, completed=seconds_from_samples(samples))

        async with self._places:
            bar = self._bars.add_task(path.name, total=None)
            work = FileTranscriber(path, on_failure=fail, on_progress=show)
            try:
                info = await work.check()
                self._bars.update(bar, total=info.seconds)
                async with aclosing(work.transcribe(self._models, self._options)) as segments:
                    async for _ in segments:
                        pass
            except DamagedFile as error:
                complain(f"{path}: warning: {error}")
            except (OSError, AudioError, StreamError) as error:
                self._fail(f"{path}: {error}")
                return None
            finally:
                self._bars.remove_task(bar)
            transcript = work.transcript(str(path), self._model)
            self._keep(transcript)
            return transcript

    def _fail(self, message: str) -> None:
        self.failed = True
        complain(message)
