"""Carry out the work of one job: download its audio, transcribe it part by part, store the outcome."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar

from asr.recognizer import ModelInfo
from audio.clip import SAMPLE_RATE, seconds_from_samples
from audio.errors import AudioError
from audio.file_problems import problem_of
from audio.files import decode_file, probe
from diarization.known_speakers import LABELS
from engine.file_diarizer import DiarizationOptions, diarizer_of
from engine.file_transcriber import MAX_CHANNELS, AudioTooLong, TooManyChannels
from engine.model_pool import ModelNotReady
from jobs.audio_store import AnyAudioStore
from jobs.callbacks import CallbackSender
from jobs.errors import JobFailure, StorageFull, TransientFailure
from jobs.fetching import Fetch
from jobs.job import MAX_ATTEMPTS, Job, JobProblem, JobSource, JobState, JobStep, JobTracks, PartText
from jobs.parts import AudioPart, split
from jobs.run_gate import RunGate
from jobs.serialization import CHAPTERS, SUMMARY, TRACKS
from jobs.store import JobStore, Run, RunLost
from jobs.tables import OUTAGES
from jobs.work_queue import Work
from jobs.worker import CarryOut
from postprocessing.summary import Summarizer
from postprocessing.summary_types import Chapters, Passage, Summary
from streaming.errors import SpeakersUnavailable, StreamError
from streaming.events import FinalTranscript, TranscriptionFailed
from streaming.file_source import transcribe_file
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.threads import run_in_thread_to_completion
from transcripts.segments import split_segment
from transcripts.speakers import spoken_by, with_speakers
from transcripts.transcript import FilteredText, TranscriptSegment, passages_of, speech_by_language

log = logging.getLogger(__name__)

REPORT_SECONDS: Final = 1.0  # between two looks at the job's row, which may have been cancelled
REVOKED_SECONDS: Final = 5.0  # in which a living run finds that it has lost its lease
OUTLIVED_SECONDS: Final = 30.0  # the same while a process has the name of the worker of the run
OUTAGE_SECONDS: Final = 1.0  # between two tries while the database cannot be used
RETRY_SECONDS: Final = (1.0, 4.0, 16.0)  # waits before a run is tried again
MAX_RETRY_AFTER: Final = 60.0  # seconds that the sender of a file may ask to wait

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Acquire = Callable[[str], AbstractAsyncContextManager[tuple[ModelClients, ModelInfo]]]


class Writer(Protocol):
    """Write summaries and chapters, as `Summarizer` does."""

    async def summarize(self, texts: Sequence[str], /) -> Summary:
        """Return the summary of a text, given its segments."""

    async def chapters(self, passages: Sequence[Passage], /) -> Chapters:
        """Return the chapters of a text, given its segments."""


def carry_out(runner: "JobRunner", callbacks: CallbackSender) -> CarryOut:
    """Return what carries out every kind of work."""

    async def do(job_id: str, work: Work, number: int) -> None:
        if work is Work.CALLBACK:
            await callbacks.deliver(job_id, number)
        else:
            await runner.run(job_id, work)

    return do


@dataclass(slots=True)
class Progress:
    """Hold the progress of a run, and the progress that is stored in the row of its job.

    done, stored: seconds of audio
    bytes_done, bytes_total, bytes_stored: of a download; the total is None if it is unknown
    is_ending: the run has begun to write its outcome, after which it may write no more
    """

    done: float = 0.0
    stored: float = 0.0
    bytes_done: int = 0
    bytes_total: int | None = None
    bytes_stored: int = 0
    is_ending: bool = False

    def on_bytes(self, done: int, total: int | None) -> None:
        """Note how much was downloaded."""
        self.bytes_done, self.bytes_total = done, total


@dataclass(slots=True)
class HeardLanguages:
    """Follow the languages of a file over its parts.

    spoken: samples of speech of each language, by its ISO 639-1 code
    certain: of the last text whose language is certain, of each channel by its speaker; likely for the next
        part, as in a stream
    """

    spoken: Counter[str] = field(default_factory=Counter)
    certain: dict[str | None, str | None] = field(default_factory=dict)

    def hear(self, segments: Sequence[TranscriptSegment]) -> None:
        """Note the languages of segments in order of time."""
        self.spoken.update(speech_by_language(segments))
        for segment in segments:
            hypothesis = segment.hypothesis
            if hypothesis.is_language_sure:
                self.certain[segment.speaker] = hypothesis.language

    @property
    def main(self) -> str | None:
        """The language of most of the speech; None if none is known."""
        return self.spoken.most_common(1)[0][0] if self.spoken else None


class JobRunner:
    """Run jobs on the models of live streams, behind all live work.

    acquire: provides the models of a name, or the default ones for an unknown name; raises ModelNotReady
    options: returns the options that a stream starts with
    fetch: downloads an address, and yields the file with its name; raises JobFailure and TransientFailure.
        None if nothing may be downloaded
    max_seconds: most audio of a job
    summarizer: makes summaries and chapters, and does not fail; None has no model
    on_audio: called with the owner and the seconds of audio that were transcribed
    retry_seconds: waits before a failed run is tried again
    worker: name of this worker and of its process
    lives: returns whether such a process is known to live, and blocks
    """

    def __init__(
        self,
        store: JobStore,
        audio: AnyAudioStore,
        acquire: Acquire,
        *,
        options: Callable[[], SessionOptions],
        fetch: Fetch | None,
        max_seconds: float,
        summarizer: Writer | None = None,
        on_audio: Callable[[str, float], None] = lambda owner, seconds: None,
        retry_seconds: tuple[float, ...] = RETRY_SECONDS,
        report_seconds: float = REPORT_SECONDS,
        outage_seconds: float = OUTAGE_SECONDS,
        revoked_seconds: float = REVOKED_SECONDS,
        worker: str = "",
        lives: Callable[[str], bool] = lambda worker: False,
    ) -> None:
        self._store = store
        self._audio = audio
        self._acquire = acquire
        self._options = options
        self._fetch = fetch
        self._max_seconds = max_seconds
        self._summarizer: Writer = summarizer or Summarizer(None)
        self._on_audio = on_audio
        self._retry_seconds = retry_seconds
        self._report_seconds = report_seconds
        self._outage_seconds = outage_seconds
        self._revoked_seconds = revoked_seconds
        self._worker = worker
        self._lives = lives
        self._active: Counter[str] = Counter()  # runs of each job in this process
        self._gate = RunGate()

    async def run(self, job_id: str, work: Work) -> None:
        """Do a unit of work until it is over: succeeded, failed, cancelled, or given to another worker.

        It waits for as long as the database cannot be used. If this is cancelled, the job is released first.
        """
        if work is Work.FETCH:
            await self._run(job_id, work, JobState.FETCHING, self._download)
            return
        assert work is Work.TRANSCRIBE
        job = await self._until_stored(self._read, job_id)
        attempts = 0 if job is None else job.attempts
        if job is not None and attempts >= MAX_ATTEMPTS:
            await self._outlive(job)
        # A job that is alone when its worker dies for the last time is not blamed for another one.
        async with self._gate.enter(alone=attempts >= MAX_ATTEMPTS - 1):
            await self._run(job_id, work, JobState.TRANSCRIBING, self._transcribe)

    def _read(self, job_id: str) -> Job | None:
        return self._store.read([job_id]).get(job_id)

    async def _outlive(self, job: Job) -> None:
        """Wait until a run that used up the attempts of a job has ended, if its worker lives after all.

        A worker that was only starved was taken for dead. Its run finds that it has lost its lease, and then
        counts as no attempt (`JobStore.outlived`).
        """
        await self._until_stored(self._store.revoke, job.id)
        waited = 0.0
        while waited < self._revoked_seconds or (
            waited < OUTLIVED_SECONDS and await asyncio.to_thread(self._is_alive, job)
        ):
            await asyncio.sleep(self._report_seconds)
            waited += self._report_seconds
            latest = await self._until_stored(self._read, job.id)
            if latest is None or latest.attempts < MAX_ATTEMPTS:
                return

    def _is_alive(self, job: Job) -> bool:
        """Return whether the worker of the last run is known to live, and may still run it."""
        if job.worker == self._worker:  # With a name alone, perhaps of the process before this one.
            return self._active[job.id] > 0
        return job.worker is not None and self._lives(job.worker)

    async def _run(
        self, job_id: str, work: Work, state: JobState, do: Callable[[Run, Progress], Awaitable[None]]
    ) -> None:
        run: Run | None = None
        lease = secrets.token_hex(8)

        def begin() -> None:
            nonlocal run
            run = self._store.begin(job_id, state, lease, self._worker)

        self._active[job_id] += 1
        try:
            await self._until_stored(begin)
            if run is None:
                log.info("job.skipped job=%s work=%s", job_id, work)
            else:
                await self._carry_out(run, work, do)
        except asyncio.CancelledError:
            if run is not None:  # The row may have been written although `begin` was cancelled.
                await run_in_thread_to_completion(self._release, run)
            raise
        finally:
            self._active[job_id] -= 1
            if not self._active[job_id]:
                del self._active[job_id]

    async def _until_stored(
        self, work: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Do work on the database, again and again until it can be used."""
        while True:
            try:
                return await run_in_thread_to_completion(work, *args, **kwargs)
            except OUTAGES as error:
                log.warning("job.database_failed error=%s", error)
                await asyncio.sleep(self._outage_seconds)

    async def _carry_out(self, run: Run, work: Work, do: Callable[[Run, Progress], Awaitable[None]]) -> None:
        """Do the work of a run, and store its outcome."""
        job_id = run.job.id
        log.info("job.begun job=%s work=%s position=%d", job_id, work, run.position)
        try:
            await self._try_repeatedly(run, do)
        except RunLost:
            log.info("job.run_lost job=%s work=%s", job_id, work)
            await self._until_stored(self._store.outlived, run)
        except JobFailure as failure:
            await self._fail(run, JobProblem(failure.code, failure.message))
        except Exception:
            log.exception("job.internal_error job=%s", job_id)
            await self._fail(run, JobProblem("internal_error", "The server failed on this job."))

    async def _try_repeatedly(self, run: Run, do: Callable[[Run, Progress], Awaitable[None]]) -> None:
        waits = list(self._retry_seconds)
        while True:
            try:
                await self._watched(run, do)
                return
            except OUTAGES as error:  # no fault of the job: it is tried until the database is back
                log.warning("job.database_failed job=%s error=%s", run.job.id, error)
                wait = self._outage_seconds
            except TransientFailure as failure:
                log.warning("job.attempt_failed job=%s reason=%s", run.job.id, failure)
                if not waits:
                    raise JobFailure(failure.code, str(failure)) from failure
                wait = seconds_before_retry(waits.pop(0), failure.retry_after)
            await self._wait(run, wait)
            # What was completed is not repeated.
            run = await self._until_stored(self._store.again, run)

    async def _wait(self, run: Run, seconds: float) -> None:
        """Wait, and raise RunLost if the job is cancelled meanwhile."""

        async def sleep(run: Run, progress: Progress) -> None:
            await asyncio.sleep(seconds)

        await self._watched(run, sleep)

    async def _watched(self, run: Run, do: Callable[[Run, Progress], Awaitable[None]]) -> None:
        """Do the work while the run may write; store its progress now and then. Raises RunLost."""
        progress = Progress()
        work = asyncio.ensure_future(do(run, progress))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=self._report_seconds)
                if work.done() or progress.is_ending:
                    continue
                try:
                    await asyncio.to_thread(self._report, run, progress)
                except OUTAGES as error:  # the work needs the database only when a part is done
                    log.warning("job.report_failed job=%s error=%s", run.job.id, error)
                except RunLost:
                    # The outcome may have been written meanwhile; if another run has the job, that fails.
                    if not progress.is_ending:
                        raise
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _report(self, run: Run, progress: Progress) -> None:
        if progress.done > progress.stored:
            progress.stored = progress.done
            self._store.report(run, seconds_done=progress.done)
        elif progress.bytes_done != progress.bytes_stored:
            progress.bytes_stored = progress.bytes_done
            self._store.report(run, bytes_done=progress.bytes_done, bytes_total=progress.bytes_total)
        else:
            self._store.check(run)

    async def _fail(self, run: Run, problem: JobProblem) -> None:
        log.info("job.failed job=%s code=%s message=%s", run.job.id, problem.code, problem.message)
        try:
            await self._until_stored(self._store.fail, run, problem)
        except RunLost:
            log.info("job.run_lost job=%s", run.job.id)

    def _release(self, run: Run) -> None:
        try:
            self._store.release(run)
        except RunLost:  # another worker has it, or it was cancelled
            return
        except OUTAGES as error:  # the next run of the job takes its lease, and counts one attempt more
            log.warning("job.release_failed job=%s error=%s", run.job.id, error)
            return
        log.info("job.released job=%s", run.job.id)

    async def _download(self, run: Run, progress: Progress) -> None:
        url = run.job.source.url
        if self._fetch is None or url is None:
            raise JobFailure("fetch_disabled", "This server does not download files: send the file itself.")
        try:
            # A file has a byte at least; how many it has is known when it is stored.
            await asyncio.to_thread(self._store.check_space, 1)
            async with self._fetch(url, progress.on_bytes) as (file, name):
                stored = await run_in_thread_to_completion(self._audio.save, file)
        except StorageFull as error:
            raise TransientFailure(str(error), "storage_full") from error
        except OSError as error:
            raise TransientFailure(f"The audio cannot be stored: {error}", "storage_full") from error
        source = JobSource(url, name, stored.key, stored.size)
        progress.is_ending = True
        try:
            await run_in_thread_to_completion(self._store.fetched, run, source)
        except RunLost:
            # After any other error the row may name the audio. A sweep deletes audio that no row names.
            await run_in_thread_to_completion(self._audio.delete, stored.key)
            raise
        log.info("job.fetched job=%s bytes=%d", run.job.id, stored.size)

    async def _transcribe(self, run: Run, progress: Progress) -> None:
        job = run.job
        if job.source.audio is None:
            raise JobFailure("audio_missing", "The audio of this job is missing.")
        with ExitStack() as stack:
            local = self._audio.local(job.source.audio)
            try:
                path = await run_in_thread_to_completion(stack.enter_context, local)
            except FileNotFoundError as error:
                raise JobFailure("audio_missing", "The audio of this job is missing.") from error
            except OSError as error:
                raise TransientFailure(f"The audio cannot be read: {error}") from error
            channels = await self._probe(run, path)
            try:
                async with self._acquire(job.options.model) as (models, info):
                    _check_task(job, info)
                    await _check_speakers(job, models)
                    await asyncio.to_thread(self._store.report, run, model=info.model)
                    await self._transcribe_parts(run, path, channels, models, progress)
            except ModelNotReady as error:
                raise TransientFailure(f"the model cannot be used: {error}") from error

    async def _probe(self, run: Run, path: Path) -> Sequence[int | None]:
        """Store the tracks and what else the file declares, and return the channels to transcribe.

        None is the mix of all channels. Raises JobFailure.
        """
        options = run.job.options
        first = options.start or 0.0
        try:
            info = await run_in_thread_to_completion(probe, path, options.track)
            info.check_start(first)
        except AudioError as error:
            raise JobFailure(error.code, problem_of(error)) from error
        except FileNotFoundError as error:
            raise JobFailure("audio_missing", "The audio of this job is missing.") from error
        found: dict[str, object] = {
            "tracks": TRACKS.dump_json(JobTracks(info.track.index, info.tracks)).decode()
        }
        if info.exact_seconds is not None:
            last = info.exact_seconds if options.end is None else min(options.end, info.exact_seconds)
            found["seconds_total"] = seconds = max(0.0, last - first)
            self._check_length(seconds)
        channels = info.track.channels
        if options.multichannel:
            if channels > MAX_CHANNELS:
                raise JobFailure("too_many_channels", str(TooManyChannels(channels)))
            found["channels"] = channels
        await asyncio.to_thread(self._store.report, run, **found)
        return range(channels) if options.multichannel else [None]

    def _check_length(self, seconds: float) -> None:
        if seconds > self._max_seconds:
            raise JobFailure("audio_too_long", str(AudioTooLong(self._max_seconds, seconds)))

    async def _transcribe_parts(
        self,
        run: Run,
        path: Path,
        channels: Sequence[int | None],
        models: ModelClients,
        progress: Progress,
    ) -> None:
        options = run.job.options
        first = round((options.start or 0.0) * SAMPLE_RATE)
        begin = run.position or first
        warnings = list(run.job.warnings)
        clips = [
            decode_file(
                path,
                track=options.track,
                channel=channel,
                start=begin / SAMPLE_RATE,
                end=options.end,
                on_warning=warnings.append,
            )
            for channel in channels
        ]
        parts = split(clips, begin)
        number, position, languages = run.parts, begin, HeardLanguages()
        if run.parts:
            for earlier in await asyncio.to_thread(self._store.parts, run.job.id):
                languages.hear(earlier.segments)
        while True:
            try:
                part = await run_in_thread_to_completion(next, parts, None)
            except AudioError as error:
                raise JobFailure(error.code, problem_of(error)) from error
            if part is None:
                break
            self._check_length(seconds_from_samples(part.end - first))
            done = seconds_from_samples(part.start - first)
            text = await self._part(part, models, run.job, progress, done, languages)
            languages.hear(text.segments)
            position = part.end
            done = seconds_from_samples(position - first)
            progress.done = progress.stored = done
            await asyncio.to_thread(
                self._store.complete_part, run, number, position, text.segments, done, text.filtered
            )
            self._on_audio(run.job.owner, seconds_from_samples(len(part) * len(part.channels)))
            number += 1
        seconds = seconds_from_samples(position - first)
        await self._write(run)
        segments = await self._with_speakers(run, path, models, first)
        progress.is_ending = True
        await asyncio.to_thread(
            self._store.succeed,
            run,
            segments=segments,
            seconds_done=seconds,
            seconds_total=seconds,
            language=languages.main,
            warnings=list(dict.fromkeys(warnings)),  # about the file, not about a channel
        )
        log.info("job.succeeded job=%s seconds=%.1f parts=%d", run.job.id, seconds, number)

    async def _write(self, run: Run) -> None:
        """Store the summary and the chapters that are wanted, unless an earlier run has stored them."""
        job = run.job
        needs_summary = job.options.summarize and job.summary is None
        needs_chapters = job.options.chapters and job.chapters is None
        if not (needs_summary or needs_chapters):
            return
        await asyncio.to_thread(self._store.report, run, step=JobStep.SUMMARY)
        found = await asyncio.to_thread(self._store.parts, job.id)
        segments = [segment for part in found for segment in part.segments]
        if needs_summary:
            summary = await self._summarizer.summarize([each.hypothesis.text for each in segments])
            written = SUMMARY.dump_json(summary).decode()
            step = JobStep.SUMMARY if needs_chapters else None
            await asyncio.to_thread(self._store.report, run, step=step, summary=written)
            log.info("job.summarized job=%s method=%s", job.id, summary.method)
        if needs_chapters:
            passages = passages_of(each for segment in segments for each in split_segment(segment))
            chapters = await self._summarizer.chapters(passages)
            written = CHAPTERS.dump_json(chapters).decode()
            await asyncio.to_thread(self._store.report, run, step=None, chapters=written)
            log.info("job.divided job=%s chapters=%d", job.id, len(chapters.items))

    async def _with_speakers(
        self, run: Run, path: Path, models: ModelClients, first: int
    ) -> list[list[TranscriptSegment]]:
        """Return the segments of all parts with their speakers; nothing if speakers are not distinguished.

        Speakers are the same over the whole file only if all of it is compared, so it is heard once more. A
        run that dies here hears it again.

        first: sample of the file at which the first part begins

        Raises JobFailure and TransientFailure.
        """
        options = run.job.options
        if options.speakers is None:
            return []
        await asyncio.to_thread(self._store.report, run, step=JobStep.SPEAKERS)
        clips = decode_file(path, track=options.track, start=first / SAMPLE_RATE, end=options.end)
        try:
            made = await diarizer_of(models, DiarizationOptions(options.speakers))
            if made is None:
                return []
            async with made as diarizer:
                while (clip := await run_in_thread_to_completion(next, clips, None)) is not None:
                    await diarizer.listen(clip)
                found = await diarizer.finish()
        except AudioError as error:
            raise JobFailure(error.code, problem_of(error)) from error
        except SpeakersUnavailable as error:
            raise TransientFailure(str(error)) from error
        turns = [turn.shifted(first) for turn in found.turns]
        overlaps = found.overlaps.shifted(first)

        def named() -> list[list[TranscriptSegment]]:
            parts = self._store.parts(run.job.id)
            return [with_speakers(part.segments, turns, found.labels, overlaps) for part in parts]

        return await asyncio.to_thread(named)

    async def _part(
        self,
        part: AudioPart,
        models: ModelClients,
        job: Job,
        progress: Progress,
        before: float,
        languages: HeardLanguages,
    ) -> PartText:
        """Return the text of a part, with the times of the file. Raises TransientFailure.

        before: seconds of audio that were transcribed before
        languages: of the text before
        """
        texts = []
        for channel in range(len(part.channels)):

            def advance(samples: int, earlier: int = channel * len(part)) -> None:
                # As if all channels were transcribed together.
                progress.done = before + seconds_from_samples((earlier + samples) // len(part.channels))

            speaker = LABELS[channel] if job.options.multichannel else None
            likely = languages.certain.get(speaker)
            text = await self._channel(part, channel, models, job, advance, likely)
            if speaker is not None:
                named = tuple(spoken_by(segment, speaker) for segment in text.segments)
                text = replace(text, segments=named)
            texts.append(text)
        return PartText(
            tuple(sorted((each for text in texts for each in text.segments), key=attrgetter("start"))),
            tuple(sorted((each for text in texts for each in text.filtered), key=attrgetter("start"))),
        )

    async def _channel(
        self,
        part: AudioPart,
        channel: int,
        models: ModelClients,
        job: Job,
        advance: Callable[[int], None],
        likely_language: str | None,
    ) -> PartText:
        """Return the text of a channel of a part, with the times of the file. Raises TransientFailure.

        advance: called with the number of samples that were transcribed
        likely_language: of the last certain text before
        """
        segments: list[TranscriptSegment] = []
        filtered: list[FilteredText] = []
        options = replace(self._options(), asr=job.options.asr, text=job.options.text)
        clips = part.clips(channel)
        try:
            found = transcribe_file(clips, models, options, advance, likely_language=likely_language)
            async with aclosing(found) as events:
                async for event in events:
                    if isinstance(event, TranscriptionFailed):
                        raise TransientFailure(f"the recognizer failed: {event.message}")
                    if not isinstance(event, FinalTranscript):
                        continue
                    segment = TranscriptSegment(event.clip.start, event.clip.end, event.hypothesis)
                    segment = segment.shifted(part.start)
                    if event.guard is not None:
                        filtered.append(FilteredText(segment.start, segment.end, event.guard))
                    if event.hypothesis.text:
                        segments.append(segment)
        except StreamError as error:
            raise TransientFailure(str(error)) from error
        return PartText(tuple(segments), tuple(filtered))


def seconds_before_retry(least: float, retry_after: float | None) -> float:
    """Return how long a run waits after one that failed: as the sender asks, from `least` to a minute."""
    return max(least, min(retry_after or 0.0, MAX_RETRY_AFTER))


async def _check_speakers(job: Job, models: ModelClients) -> None:
    """Load the model of speakers before the long work. Raises JobFailure and TransientFailure."""
    if job.options.speakers is None:
        return
    if models.speakers is None:
        raise JobFailure("unsupported_value", "The worker does not distinguish speakers.")
    try:
        await diarizer_of(models, DiarizationOptions(job.options.speakers))
    except SpeakersUnavailable as error:
        raise TransientFailure(str(error)) from error


def _check_task(job: Job, info: ModelInfo) -> None:
    if job.options.asr.task == "translate" and not info.translates:
        raise JobFailure("unsupported_value", f"The model {info.model} cannot translate.")
