"""Transcription of a file."""

import asyncio
import io
import math
import threading
import tracemalloc
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import Hypothesis, RecognitionRequest, Word
from audio.errors import StartAfterEnd, UnreadableFile
from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import (
    MAX_CHANNELS,
    AudioTooLong,
    FileTranscriber,
    TimeRange,
    TimeRangeError,
    TooManyChannels,
    UtteranceFailed,
)
from streaming.errors import SpeakersUnavailable
from streaming.events import Event, FinalTranscript, StreamClosed
from streaming.options import SessionOptions
from tests.audio.test_files import encoded, muxed, quiet_then_loud, tone
from tests.diarization.voices import RuleClient
from tests.server.asgi_calls import interleaved, wav
from tests.streaming.fakes import sound
from tests.streaming.working_models import Recognizer, models
from transcripts.transcript import FilteredText, TranscriptSegment

SECOND = 16_000
TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, SECOND), (False, SECOND))


async def heard(work: FileTranscriber, recognizer: Recognizer | None = None) -> list[str]:
    async with (
        models(recognizer) as shared,
        aclosing(work.transcribe(shared, SessionOptions())) as segments,
    ):
        return [segment.hypothesis.text async for segment in segments]


async def test_segments_come_in_order_and_make_the_transcript() -> None:
    work = FileTranscriber(io.BytesIO(wav(TALK)), max_seconds=60)
    await work.check()
    texts = await heard(work)
    transcript = work.transcript("talk.wav", "little")
    assert [segment.hypothesis.text for segment in transcript.segments] == texts
    assert (len(texts), work.seconds) == (2, 5.0)
    assert (transcript.source, transcript.model) == ("talk.wav", "little")
    assert transcript.segments[0].end <= transcript.segments[1].start


def call(*channels: Sequence[tuple[bool, int]]) -> io.BytesIO:
    """Return a wav file in which each channel has its own speech."""
    return io.BytesIO(interleaved(*(sound(*runs) for runs in channels)))


EARLY = [(False, SECOND), (True, SECOND), (False, 4 * SECOND)]
LATE = [(False, 3 * SECOND), (True, SECOND), (False, 2 * SECOND)]


async def test_channels_are_speakers_in_order_of_time() -> None:
    progress: list[int] = []
    read: list[int] = []
    work = FileTranscriber(
        call(LATE, EARLY), multichannel=True, on_progress=progress.append, on_samples_read=read.append
    )
    await work.check()
    await heard(work)
    segments = work.transcript("call.wav", "little").segments
    assert [segment.speaker for segment in segments] == ["B", "A"]
    assert segments[0].end < segments[1].start
    assert (work.channels, work.seconds) == (2, 6.0)
    assert progress == sorted(progress)
    assert 5.9 * SECOND < progress[-1] <= 6 * SECOND
    assert read[-1] == 12 * SECOND


async def test_channels_that_speak_at_once_lose_nothing() -> None:
    both, alone = call(EARLY, EARLY), io.BytesIO(wav(sound(*EARLY)))
    work = FileTranscriber(both, multichannel=True, within=TimeRange(0.5, 3.0))
    await work.check()
    texts = await heard(work)
    single = FileTranscriber(alone, within=TimeRange(0.5, 3.0))
    assert texts == 2 * await heard(single)
    starts = {segment.start for segment in work.transcript("", "").segments}
    assert starts == {segment.start for segment in single.transcript("", "").segments}


async def test_too_many_channels_are_refused() -> None:
    file = io.BytesIO(wav(TALK, channels=MAX_CHANNELS + 1))
    with pytest.raises(TooManyChannels, match="9 channels"):
        await FileTranscriber(file, multichannel=True).check()


async def test_a_file_without_speech_is_silent_and_no_error() -> None:
    work = FileTranscriber(io.BytesIO(wav(sound((False, 3 * SECOND)))), max_seconds=60)
    assert await heard(work) == []
    assert (work.transcript("", "x").segments, work.seconds) == ((), 3.0)


async def test_file_without_audio_is_refused_by_check() -> None:
    with pytest.raises(UnreadableFile):
        await FileTranscriber(io.BytesIO(b"no sound"), max_seconds=60).check()


class Slow(io.BytesIO):
    """Read in a thread that waits for `go_on`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.go_on = threading.Event()
        self.is_read = threading.Event()
        self.was_read = threading.Event()
        self.was_closed = False

    def read(self, size: int | None = -1) -> bytes:
        self.is_read.set()
        self.go_on.wait()
        self.was_closed |= self.closed
        self.was_read.set()
        return b"" if self.closed else super().read(size)


async def test_cancelled_check_waits_for_its_thread() -> None:
    file = Slow(wav(TALK))

    async def visit() -> None:
        with file:
            await FileTranscriber(file, max_seconds=60).check()

    visiting = asyncio.create_task(visit())
    await asyncio.to_thread(file.is_read.wait)
    visiting.cancel()
    await asyncio.sleep(0)
    file.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await visiting
    assert file.closed
    await asyncio.to_thread(file.was_read.wait)
    assert not file.was_closed


async def test_declared_length_above_the_limit_is_refused() -> None:
    with pytest.raises(AudioTooLong, match="5 s of audio"):
        await FileTranscriber(io.BytesIO(wav(TALK)), max_seconds=4).check()


async def test_audio_above_the_limit_is_refused_when_reached() -> None:
    with pytest.raises(AudioTooLong):
        await heard(FileTranscriber(io.BytesIO(wav(TALK)), max_seconds=4))


class Sentences(Recognizer):
    """Answer two sentences with the times of their words."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        texts = ["She", "opened", "the", "window.", "He", "walked", "along."]
        return [
            Hypothesis(
                " ".join(texts),
                tuple(
                    Word(text, *(request.clip.start + SECOND * (n + side) // 2 for side in (0, 1)))
                    for n, text in enumerate(texts)
                ),
            )
            for request in requests
        ]


async def test_segments_end_with_a_sentence() -> None:
    talk = sound((True, 4 * SECOND), (False, SECOND))
    work = FileTranscriber(io.BytesIO(wav(talk)))
    assert await heard(work, Sentences()) == ["She opened the window.", "He walked along."]
    first, second = work.transcript("", "").segments
    assert (first.start, first.end, second.start) == (0, 2 * SECOND, 2 * SECOND)


async def test_segments_of_a_file_contain_short_silences() -> None:
    async with models() as shared:
        work = FileTranscriber(io.BytesIO(wav(TALK)))
        async with aclosing(work.transcribe(shared, SessionOptions().for_file())) as segments:
            (whole,) = [segment async for segment in segments]
    assert whole.start < SECOND < 4 * SECOND < whole.end


async def test_an_estimated_length_is_not_refused() -> None:
    work = FileTranscriber(io.BytesIO(quiet_then_loud(SECOND, 20.0)), max_seconds=22)
    info = await work.check()
    assert info.is_estimate
    assert info.seconds is not None
    assert info.seconds > 22
    await heard(work)
    assert work.seconds == pytest.approx(20, abs=0.5)


async def test_an_incomplete_file_has_a_warning() -> None:
    data = encoded("flac", "flac", SECOND, "mono", seconds=6.0)
    work = FileTranscriber(io.BytesIO(data[: len(data) // 2]))
    await heard(work)
    (warning,) = work.warnings
    assert warning.startswith("The file is incomplete: ")
    assert work.transcript("", "").warnings == (warning,)


async def test_silence_in_gaps_counts_to_the_limit() -> None:
    data = muxed(
        "matroska", "flac", SECOND, [tone(4.0, SECOND)], shift=lambda time: time + (100 if time >= 2 else 0)
    )
    with pytest.raises(AudioTooLong, match=r"Maximum audio length \(60 s\)"):
        await heard(FileTranscriber(io.BytesIO(data), max_seconds=60))


class RefusesTheSecond(Recognizer):
    """Fail on the clip of the second utterance."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        if any(request.clip.end > 4 * SECOND for request in requests):
            raise RuntimeError("out of memory")
        return super().transcribe(requests)


class Haunted(Recognizer):
    """Write a text that lasts too long for the second utterance."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [
            Hypothesis("good" if request.clip.end < 3 * SECOND else "well " + "no " * 90)
            for request in requests
        ]


async def test_shortened_text_is_named_in_the_transcript() -> None:
    work = FileTranscriber(io.BytesIO(wav(TALK)))
    assert await heard(work, Haunted()) == ["good", "well no no no no no"]
    transcript = work.transcript("", "")
    second = transcript.segments[1]
    assert transcript.filtered == (FilteredText(second.start, second.end, "repetition"),)


async def test_rejected_text_is_named_in_the_transcript() -> None:
    work = FileTranscriber(io.BytesIO(wav(TALK)))
    options = SessionOptions(guards=FilterThresholds(sure_peak=1.0, max_rate=20.0))
    async with (
        models(Haunted()) as shared,
        aclosing(work.transcribe(shared, options)) as segments,
    ):
        assert [segment.hypothesis.text async for segment in segments] == ["good"]
    assert [each.guard for each in work.transcript("", "").filtered] == ["rate"]


async def test_failed_utterance_ends_the_transcription() -> None:
    with pytest.raises(UtteranceFailed, match=r"2\.7 to 4\.1 s could not be transcribed: .*out of memory"):
        await heard(FileTranscriber(io.BytesIO(wav(TALK))), RefusesTheSecond())


async def test_reported_failed_utterance_is_left_out() -> None:
    failures: list[UtteranceFailed] = []
    work = FileTranscriber(io.BytesIO(wav(TALK)), on_failure=failures.append)
    assert len(await heard(work, RefusesTheSecond())) == len(failures) == 1
    assert work.seconds == 5.0


async def test_read_samples_are_counted_if_the_work_ends_early() -> None:
    counted: list[int] = []
    with pytest.raises(UtteranceFailed):
        await heard(
            FileTranscriber(io.BytesIO(wav(TALK)), on_samples_read=counted.append), RefusesTheSecond()
        )
    assert counted == sorted(counted)
    assert counted[-1] > 4 * SECOND


async def test_events_and_progress_are_reported() -> None:
    events: list[Event] = []
    progress: list[int] = []
    await heard(FileTranscriber(io.BytesIO(wav(TALK)), on_event=events.append, on_progress=progress.append))
    assert sum(isinstance(event, FinalTranscript) for event in events) == 2
    assert isinstance(events[-1], StreamClosed)
    assert progress[-1] > len(TALK) - 512


async def test_audio_is_not_kept() -> None:
    """The file is open already; what is added is far from all of its samples."""
    talk = np.tile(TALK, 16)
    work = FileTranscriber(io.BytesIO(wav(talk)), max_seconds=3_600)
    tracemalloc.start()
    assert len(await heard(work)) == 32
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < talk.nbytes / 2


async def test_range_is_transcribed_with_the_times_of_the_file() -> None:
    whole = FileTranscriber(io.BytesIO(wav(TALK)))
    await heard(whole, Sentences())
    reported: list[int] = []
    part = FileTranscriber(io.BytesIO(wav(TALK)), within=TimeRange(2.5, 4.5), on_progress=reported.append)
    await part.check()
    assert await heard(part, Sentences()) != []
    assert part.seconds == 2.0
    (last,) = {segment.start for segment in whole.transcript("", "").segments if segment.start > 2.5 * SECOND}
    segments = part.transcript("", "").segments
    assert abs(segments[0].start - last) < 0.1 * SECOND
    assert segments[0].hypothesis.words[0].start == segments[0].start
    assert 4.4 * SECOND < reported[-1] <= 4.5 * SECOND


@pytest.mark.parametrize("start", [5.0, 60.0])
async def test_part_behind_the_end_of_the_file_is_refused(start: float) -> None:
    work = FileTranscriber(io.BytesIO(wav(TALK)), within=TimeRange(start))
    with pytest.raises(StartAfterEnd, match=f"The start, {start:g} s, is after the end of the file"):
        await work.check()


async def test_part_behind_an_estimated_end_is_a_warning() -> None:
    file = encoded("adts", "aac", 32_000, "mono")
    work = FileTranscriber(io.BytesIO(file), within=TimeRange(60))
    assert (await work.check()).is_estimate
    assert await heard(work) == []
    assert work.seconds == 0
    (warning,) = work.warnings
    assert warning.startswith("The start, 60 s, is after the end of the file, which has ")
    whole = FileTranscriber(io.BytesIO(file), within=TimeRange(0.1))
    await heard(whole)
    assert whole.warnings == []


@pytest.mark.parametrize(("within", "allowed"), [(TimeRange(0, 3), True), (TimeRange(4.5), False)])
async def test_limit_counts_up_to_the_end_of_the_range(within: TimeRange, allowed: bool) -> None:
    work = FileTranscriber(io.BytesIO(wav(TALK)), max_seconds=4, within=within)
    if allowed:
        await work.check()
        assert await heard(work) != []
    else:
        with pytest.raises(AudioTooLong):
            await work.check()


class Counting(io.BytesIO):
    """Tell when a part of the file was read, and count the bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.count = 0
        self.has_begun = threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        if self.count > 10 * 2 * SECOND:
            self.has_begun.set()
        return data


@pytest.mark.slow
async def test_work_is_cancelled_before_the_range_begins() -> None:
    data = wav(np.zeros(3_600 * SECOND, np.float32))
    file = Counting(data)
    working = asyncio.create_task(heard(FileTranscriber(file, within=TimeRange(3_590))))
    await asyncio.to_thread(file.has_begun.wait)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert file.count < len(data) / 2


@pytest.mark.slow
async def test_range_of_a_long_file_is_not_held_in_memory() -> None:
    work = FileTranscriber(io.BytesIO(wav(np.zeros(600 * SECOND, np.float32))), within=TimeRange(595))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await heard(work)
        assert tracemalloc.get_traced_memory()[1] - before < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("start", "end", "param"),
    [
        (-1, None, "start"),
        (math.nan, None, "start"),
        (math.inf, None, "start"),
        (1e306, None, "start"),
        (2, 2, "end"),
        (0, math.nan, "end"),
        (0, 1e306, "end"),
    ],
)
def test_impossible_range_is_refused(start: float, end: float | None, param: str) -> None:
    with pytest.raises(TimeRangeError) as refused:
        TimeRange(start, end)
    assert refused.value.param == param


DIALOGUE = np.concatenate(
    [sound((False, SECOND), (True, 3 * SECOND)), -sound((True, 3 * SECOND), (False, SECOND))]
)


class TimedRecognizer(Recognizer):
    """Give each half second a word with times."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [self._timed(request.clip.start, request.clip.end) for request in requests]

    def _timed(self, start: int, end: int) -> Hypothesis:
        words = [Word(f"w{at}", at, at + SECOND // 2) for at in range(start, end - SECOND // 2, SECOND // 2)]
        return Hypothesis(" ".join(word.text for word in words), tuple(words))


async def diarized(work: FileTranscriber, client: RuleClient | None) -> list[TranscriptSegment]:
    async with models(TimedRecognizer()) as shared:
        segments = work.transcribe(replace(shared, speakers=client), SessionOptions())
        async with aclosing(segments):
            return [segment async for segment in segments]


async def test_words_and_segments_have_speakers() -> None:
    plain = await diarized(FileTranscriber(io.BytesIO(wav(DIALOGUE))), RuleClient())
    assert {segment.speaker for segment in plain} == {None}
    work = FileTranscriber(io.BytesIO(wav(DIALOGUE)), diarization=DiarizationOptions())
    segments = await diarized(work, RuleClient())
    assert [segment.speaker for segment in segments] == ["A", "B"]
    assert work.transcript("", "").segments == tuple(segments)
    words = [word for segment in segments for word in segment.hypothesis.words]
    assert [word.speaker for word in words] == sorted(word.speaker or "" for word in words)
    assert [word.text for word in words] == [word.text for each in plain for word in each.hypothesis.words]
    assert work.transcript("", "").text == " ".join(segment.hypothesis.text for segment in plain)


async def test_speakers_of_a_part_have_the_times_of_the_file() -> None:
    within = TimeRange(1.0)
    work = FileTranscriber(io.BytesIO(wav(DIALOGUE)), within=within, diarization=DiarizationOptions())
    segments = await diarized(work, RuleClient())
    assert [segment.speaker for segment in segments] == ["A", "B"]
    assert segments[0].start < 2 * SECOND
    assert abs(segments[1].start - 4 * SECOND) < SECOND


async def test_server_without_model_of_speakers_transcribes() -> None:
    work = FileTranscriber(io.BytesIO(wav(DIALOGUE)), diarization=DiarizationOptions())
    assert {segment.speaker for segment in await diarized(work, None)} == {None}


async def test_unusable_model_of_speakers_fails_at_once() -> None:
    work = FileTranscriber(io.BytesIO(wav(DIALOGUE)), diarization=DiarizationOptions())
    with pytest.raises(SpeakersUnavailable, match="no weights"):
        await diarized(work, RuleClient(broken=True))
    assert work.transcript("", "").segments == ()
