"""Run the command `transcribe FILE…`: audio and video files to text, subtitles or JSON."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import IO, Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asr.default_model import is_default_chosen
from asr.devices import choose_device
from asr.errors import AsrError, ModelUnavailable, UnsupportedModel
from asr.hallucination_filter import REPETITION
from asr.model_registry import AUTO
from asr.recognizer import ModelInfo, TranscriptionOptions
from audio.clip import seconds_from_samples
from audio.errors import AudioError
from audio.files import Track
from audio.pictures import NoPictures, has_pictures, picture_cuts
from cli.burning import BurningFailed, CannotBurn, SubtitleBurner
from cli.console import FAILED, NO_AUDIO, NO_FILE, UNUSABLE, exit_code_of, print_error, reason_of
from cli.models import choose_default
from client.own_server import settings
from diarization.clustering import SpeakerBounds, SpeakerBoundsError
from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import (
    WHOLE,
    FileTranscriber,
    TimeRange,
    TimeRangeError,
    TooManyChannels,
    UtteranceFailed,
)
from engine.speaker_model import SpeakerModel, StepModel, speaker_worker, step_worker
from engine.workers import load_models
from postprocessing.options import TextOptions
from postprocessing.summary_types import Chapters, Summary
from streaming.errors import StreamError
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.threads import run_in_thread_to_completion
from transcripts.documents import docx_of, markdown_of
from transcripts.subtitles import ass_of, srt_of, vtt_of
from transcripts.transcript import FilteredText, Transcript, json_of, text_of

MAX_CONCURRENT_FILES: Final = 4
STDIN: Final = Path("-")
IN_MEMORY: Final = 1 << 20  # bytes of stdin; more go to disk

MP4: Final = "mp4"  # the video with the subtitles in its picture
SUFFIXES: Final = {
    "text": ".txt",
    "srt": ".srt",
    "vtt": ".vtt",
    "ass": ".ass",
    "md": ".md",
    "docx": ".docx",
    "json": ".json",
    MP4: ".mp4",
}
SUBTITLES: Final = {"srt": srt_of, "vtt": vtt_of, "ass": ass_of}


@dataclass(frozen=True, slots=True)
class Result:
    """Hold what is written for a file; summary, chapters: None if they are not wanted."""

    transcript: Transcript
    summary: Summary | None = None
    chapters: Chapters | None = None


Deliver = Callable[[Result, "AudioFile"], Awaitable[None]]
Summarize = Callable[[Transcript], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Hold a file to transcribe.

    name: as the user gave it; `-` for stdin
    output: name of its output file, without the suffix
    """

    name: str
    source: Path | IO[bytes]
    output: str


def transcribe(args: argparse.Namespace) -> int:
    """Transcribe all given files; return the exit code. Raises AsrError."""
    within = _within(args)
    if args.summarize and args.format in (*SUBTITLES, MP4):
        args.fail(f"{args.format} has no place for a summary")
    if args.chapters and args.format not in ("json", "md", "docx"):
        args.fail(f"{args.format} has no place for chapters")
    if args.cuts and args.format not in (*SUBTITLES, MP4):
        args.fail(f"--cuts needs a format of subtitles, not {args.format}")
    if args.output_dir is None and args.format in ("docx", MP4):
        args.fail(f"{args.format} needs --output-dir")
    if args.format == MP4 and STDIN in args.files:
        args.fail("mp4 needs a video with a name, not stdin (-)")
    if args.output_dir is None and args.format in SUBTITLES and len(args.files) > 1:
        args.fail(f"the {args.format} of several files needs --output-dir")
    if args.files.count(STDIN) > 1:
        args.fail("stdin (-) can be read only once")
    try:
        summarize = _summarizer(args) if args.summarize or args.chapters else None
    except ValueError as error:
        print_error(str(error))
        return UNUSABLE
    with ExitStack() as stack:
        try:
            if args.output_dir is not None:
                args.output_dir.mkdir(parents=True, exist_ok=True)
            stdin = stack.enter_context(_read_stdin()) if STDIN in args.files else None
        except OSError as error:
            print_error(reason_of(error))
            return NO_FILE
        sources = [stdin or path if path == STDIN else path for path in args.files]
        files = list(map(AudioFile, map(str, args.files), sources, output_names(args.files)))
        try:
            return asyncio.run(_transcribe_all(args, files, within, summarize))
        except CannotBurn as error:
            print_error(str(error))
            return UNUSABLE


def _within(args: argparse.Namespace) -> TimeRange:
    try:
        return TimeRange(args.start, args.end)
    except TimeRangeError as error:
        args.fail(f"--{error}")
        raise AssertionError("unreachable") from None  # The parser exits.


def _summarizer(args: argparse.Namespace) -> Summarize:
    """Return the function that adds to a transcript what is wanted. Raises ValueError for a bad setting."""
    from cli.summary import chapters_of, load_summarizer, summary_of

    summarizer = load_summarizer()

    async def add(transcript: Transcript) -> Result:
        summary = await summary_of(summarizer, transcript) if args.summarize else None
        chapters = await chapters_of(summarizer, transcript) if args.chapters else None
        return Result(transcript, summary, chapters)

    return add


def output_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem, or with its suffix, and a number, where stems are equal."""
    stems = Counter(path.stem for path in paths)
    names: list[str] = []
    for path in paths:
        name = "stdin" if path == STDIN else path.name
        numbered = (f"{name}-{number}" for number in count(2))
        choices = chain([path.stem] if stems[path.stem] == 1 and path != STDIN else [], [name], numbered)
        names.append(next(choice for choice in choices if choice not in names))
    return names


def _read_stdin() -> IO[bytes]:
    """Return a copy of stdin, because the end of a container may have to be read first."""
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, file)
    file.seek(0)
    return file


def session_options(args: argparse.Namespace) -> SessionOptions:
    """Return the options of the streams that transcribe the files."""
    # With the times of words, lines and segments end with a sentence.
    asr = TranscriptionOptions(args.language, args.prompt, words=True)
    text = TextOptions(profanity_filter=args.profanity_filter, redact=tuple(args.redact))
    options = SessionOptions(asr=asr, text=text)
    if args.chunking is None:
        return options.for_file()
    return replace(options, vad=replace(options.vad, silence_ms=args.chunking))


async def _transcribe_all(
    args: argparse.Namespace, files: Sequence[AudioFile], within: TimeRange, summarize: Summarize | None
) -> int:
    """Report errors, and print or write the transcripts, as they occur; return the exit code."""
    options, diarization = session_options(args), _diarization(args)
    burner = SubtitleBurner() if args.format == MP4 else None
    if burner is not None:
        await burner.check()  # before the long work
    with _progress_bars() as bars:
        loading = bars.add_task("loading the model", total=None)
        async with AsyncExitStack() as stack:
            models, description = await _load(args, stack)
            bars.remove_task(loading)
            if burner is not None:
                deliver = _burning(burner, args, bars)
            else:
                deliver = _writer(args) if args.output_dir is not None else _printer(args, bars)
            if diarization is not None:
                speakers = await stack.enter_async_context(SpeakerModel(speaker_worker))
                models = replace(models, speakers=speakers)
                if args.speaker_model:
                    worker = partial(
                        step_worker,
                        args.speaker_model,
                        device=args.device,
                        threads=max(1, os.cpu_count() or 1),
                    )
                    steps = await stack.enter_async_context(StepModel(worker))
                    models = replace(models, speaker_steps=steps)
            queue = FileQueue(
                models,
                description.model,
                options,
                bars,
                deliver,
                args.track,
                within,
                summarize,
                diarization,
                multichannel=args.multichannel,
                cuts=args.cuts,
                video=burner is not None,
            )
            await asyncio.gather(*map(queue.transcribe, files))
    if len(files) > 1:
        print_error(queue.summary(len(files)))
    return queue.exit_code


async def _load(args: argparse.Namespace, stack: AsyncExitStack) -> tuple[ModelClients, ModelInfo]:
    model = args.model or settings().get("ASR_MODEL") or AUTO
    if model == AUTO and choose_device(args.device) == "cpu" and not is_default_chosen():
        with suppress(ModelUnavailable):  # Then the loaded model says that it is a fallback.
            print_error(choose_default())
    loading = load_models(
        model, device=args.device, dtype=args.dtype, punctuation_model=args.punctuation_model
    )
    try:
        models, description = await stack.enter_async_context(loading)
    except AsrError:
        raise
    except Exception as error:  # For example from torch, for a device that does not exist.
        raise UnsupportedModel(f"{model} cannot be loaded: {error}") from error
    if description.fallback:
        print_error(f"warning: {description.fallback}")
    if args.punctuation_model and not description.punctuates:
        print_error(f"warning: {args.punctuation_model} is not in reach, so the words stay bare")
    return models, description


def _diarization(args: argparse.Namespace) -> DiarizationOptions | None:
    if args.diarize and args.multichannel:
        args.fail("--diarize and --multichannel exclude each other: each channel is one speaker")
    try:  # Bounds that contradict each other are an error even if no speakers are wanted.
        bounds = SpeakerBounds(args.min_speakers, args.max_speakers)
    except SpeakerBoundsError as error:
        args.fail(str(error))
    return DiarizationOptions(bounds) if args.diarize else None


def _progress_bars() -> Progress:
    """Return progress bars on stderr for the files in work, shown only on a terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        disable=not sys.stderr.isatty(),
    )


def _writer(args: argparse.Namespace) -> Deliver:
    """Return a function that writes a transcript to its file."""

    async def write(result: Result, file: AudioFile) -> None:
        _output(args, file).write_bytes(content_of(result, args))

    return write


def _burning(burner: SubtitleBurner, args: argparse.Namespace, bars: Progress) -> Deliver:
    """Return a function that writes a video with the subtitles in its picture."""

    async def burn(result: Result, file: AudioFile) -> None:
        assert isinstance(file.source, Path)
        info = result.transcript.info
        bar = bars.add_task(f"{file.source.name}: writing", total=None if info is None else info.seconds)
        try:
            await burner.burn(
                file.source,
                ass_of(result.transcript),
                _output(args, file),
                lambda seconds: bars.update(bar, completed=seconds),
            )
        finally:
            bars.remove_task(bar)

    return burn


def _output(args: argparse.Namespace, file: AudioFile) -> Path:
    folder: Path = args.output_dir
    return folder / (file.output + SUFFIXES[args.format])


def _printer(args: argparse.Namespace, bars: Progress) -> Deliver:
    """Return a function that prints a transcript, with a title if there are several texts."""
    is_titled = args.format == "text" and len(args.files) > 1

    async def show(result: Result, file: AudioFile) -> None:
        title = f"==> {result.transcript.source} <==\n" if is_titled else ""
        if not bars.disable:  # the terminal is the same
            bars.stop()
        write_text(sys.stdout, title + content_of(result, args).decode(), args.format)
        bars.start()

    return show


def content_of(result: Result, args: argparse.Namespace) -> bytes:
    """Return a transcript in the format of the arguments."""
    transcript, summary = result.transcript, result.summary
    if args.format in SUBTITLES:
        return SUBTITLES[args.format](transcript).encode()
    text = None if summary is None else summary.text
    items = () if result.chapters is None else result.chapters.items
    if args.format == "docx":
        return docx_of(transcript, text, items)
    if args.format == "md":
        return markdown_of(transcript, text, items).encode()
    if args.format == "json":
        fields = None if summary is None else {"text": summary.text, "method": summary.method}
        return json_of(transcript, words=args.words, summary=fields, chapters=result.chapters).encode()
    head = "" if summary is None else f"Summary ({summary.method}): {summary.text}\n\n"
    return (head + text_of(transcript)).encode()


def _filtered_line(filtered: FilteredText) -> str:
    start, end = seconds_from_samples(filtered.start), seconds_from_samples(filtered.end)
    is_shorter = filtered.guard == REPETITION
    what = "a repeated phrase was shortened" if is_shorter else "text without speech was left out"
    return f"{start:.1f} to {end:.1f} s: {what} ({filtered.guard})"


def write_text(output: TextIO, text: str, form: str) -> None:
    """Write a transcript at once; escape or replace characters that the encoding of the output lacks."""
    try:
        text.encode(output.encoding)
    except UnicodeEncodeError:
        if form == "json":
            text = json.dumps(json.loads(text)) + "\n"
        else:
            print_error(f"warning: {output.encoding} lacks characters of the text, which are shown as ?")
            text = text.encode(output.encoding, "replace").decode(output.encoding)
    output.write(text)
    output.flush()


class FileQueue:
    """Transcribe files, a few at a time, which share the batches of the models.

    deliver: called with each result and its file
    track: index of the audio track; None for the default one of each file
    within: the part of each file to transcribe
    summarize: adds a summary and chapters to a transcript; None if they are not wanted
    diarization: how speakers are distinguished; None if they are not
    multichannel: whether the channels are transcribed apart
    cuts: whether the cuts of the picture are sought, for subtitles
    video: whether a file without pictures is an error
    failures: exit codes of the kinds of failure so far
    done, silent: files that were transcribed, and those of them without speech
    """

    def __init__(
        self,
        models: ModelClients,
        model: str,
        options: SessionOptions,
        bars: Progress,
        deliver: Deliver,
        track: int | None = None,
        within: TimeRange = WHOLE,
        summarize: Summarize | None = None,
        diarization: DiarizationOptions | None = None,
        *,
        multichannel: bool = False,
        cuts: bool = False,
        video: bool = False,
    ) -> None:
        self.failures: set[int] = set()
        self.done = self.silent = 0
        self._track = track
        self._within = within
        self._summarize = summarize
        self._models = models
        self._model = model
        self._options = options
        self._progress = bars
        self._deliver = deliver
        self._diarization = diarization
        self._multichannel = multichannel
        self._cuts = cuts
        self._video = video
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_FILES)

    @property
    def exit_code(self) -> int:
        """The exit code: that of the failure, if all failures are of one kind."""
        return exit_code_of(self.failures)

    def summary(self, files: int) -> str:
        """Return how many of the files were transcribed."""
        parts = [f"{files} files", f"{self.done} transcribed"]
        if self.silent:
            parts[1] += f" ({self.silent} without speech)"
        if files > self.done:
            parts.append(f"{files - self.done} failed")
        return ", ".join(parts)

    async def transcribe(self, file: AudioFile) -> Transcript | None:
        """Return the transcript; print an error and return None if the file cannot be read."""
        async with self._slots:
            try:
                transcript = await self._transcript(file)
                result = Result(transcript)
                if self._summarize is not None:
                    result = await self._summarize(transcript)
                await self._deliver(result, file)
                self.done += 1
                return transcript
            except BrokenPipeError:  # The reader of the output has closed it.
                raise
            except OSError as error:
                self._fail(NO_FILE, reason_of(error, file.name))
            except (AudioError, TooManyChannels) as error:
                self._fail(NO_AUDIO, f"{file.name}: {error}")
            except (StreamError, BurningFailed) as error:
                self._fail(FAILED, f"{file.name}: {error}")
            return None

    async def _transcript(self, file: AudioFile) -> Transcript:
        def fail(failure: UtteranceFailed) -> None:
            self._fail(FAILED, f"{file.name}: {failure}")

        def show(samples: int) -> None:
            self._progress.update(bar, completed=seconds_from_samples(samples))

        bar = self._progress.add_task(Path(file.name).name, total=None)
        work = FileTranscriber(
            file.source,
            track=self._track,
            within=self._within,
            on_failure=fail,
            on_progress=show,
            diarization=self._diarization,
            multichannel=self._multichannel,
        )
        try:
            info = await work.check()
            if self._video and not await run_in_thread_to_completion(has_pictures, file.source):
                raise NoPictures
            if len(info.tracks) > 1 and self._track is None:
                print_error(f"{file.name}: {_list_of(info.tracks)}; track {info.track.index} is used")
            self._progress.update(bar, total=info.seconds)
            async with aclosing(work.transcribe(self._models, self._options)) as segments:
                async for _ in segments:
                    pass
        finally:
            self._progress.remove_task(bar)
        transcript = work.transcript(file.name, self._model)
        if self._cuts:
            transcript = replace(transcript, cuts=await _cuts(file.source))
        for warning in (*transcript.warnings, *map(_filtered_line, transcript.filtered)):
            print_error(f"{file.name}: warning: {warning}")
        if not transcript.segments:
            self.silent += 1
            print_error(f"{file.name}: no speech was heard")
        return transcript

    def _fail(self, code: int, message: str) -> None:
        self.failures.add(code)
        print_error(message)


async def _cuts(source: Path | IO[bytes]) -> tuple[int, ...]:
    """Return the cuts of the picture; the thread that seeks them ends soon after the work is cancelled."""
    cancelled = threading.Event()
    seeking = asyncio.ensure_future(run_in_thread_to_completion(picture_cuts, source, cancelled.is_set))
    try:
        return tuple(await asyncio.shield(seeking))
    except asyncio.CancelledError:
        cancelled.set()
        await seeking
        raise


def _list_of(tracks: Sequence[Track]) -> str:
    """Return the tracks in words."""
    described = []
    for track in tracks:
        details = [track.language, track.title, f"channels: {track.channels}", "default" * track.default]
        described.append(f"{track.index} ({', '.join(filter(None, details))})")
    return f"{len(tracks)} audio tracks: {', '.join(described)}"
