"""Test that the channels of a connection are streams that know nothing of one another."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, RecognitionRequest, Word
from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.codecs import Encoding, Format
from audio.decoder import Decoder
from streaming.driver import StreamDriver
from streaming.errors import DetectorFailed
from streaming.events import (
    AudioCleared,
    ChannelEvent,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    UtteranceStarted,
)
from streaming.model_clients import ModelClients
from streaming.multichannel import MultichannelStream
from streaming.options import SessionOptions
from tests.examples import examples
from tests.streaming.fakes import FEW_GUARDS, recognize, sound
from tests.streaming.working_models import BrokenDetector, Recognizer, Slots, models
from vad.segmenter import Reason

SECOND = SAMPLE_RATE
OPTIONS = SessionOptions(guards=FEW_GUARDS)
CALLER = sound((False, SECOND), (True, SECOND), (False, 2 * SECOND))
AGENT = sound((True, 2 * SECOND), (False, SECOND), (True, SECOND))
SILENT = sound((False, 4 * SECOND))


def together(*channels: Samples) -> Clip:
    return Clip(np.stack(channels, axis=1))


async def events_of(stream: StreamDriver | MultichannelStream) -> list[Event]:
    return [event async for event in stream.events()]


async def heard(clip: Clip, options: SessionOptions = OPTIONS) -> list[Event]:
    async with models() as shared:
        with MultichannelStream(shared, options, "s", clip.samples.shape[1]) as stream:
            stream.receive_audio(clip)
            stream.end(Reason.END_OF_STREAM)
            return await events_of(stream)


def of_channel(events: Sequence[Event], channel: int) -> list[Event]:
    return [event for event in events if isinstance(event, ChannelEvent) and event.channel == channel]


def finals(events: Sequence[Event]) -> list[FinalTranscript]:
    return [event for event in events if isinstance(event, FinalTranscript)]


async def test_both_texts_come_although_both_speak_at_once() -> None:
    events = await heard(together(CALLER, AGENT))
    caller, agent = (finals(of_channel(events, channel)) for channel in (0, 1))
    assert [final.utterance for final in caller] == [1]
    assert [final.utterance for final in agent] == [1, 2]
    for final, channel in [(caller[0], CALLER), *((each, AGENT) for each in agent)]:
        said = Clip(channel[final.clip.start : final.clip.end], final.clip.start)
        np.testing.assert_array_equal(final.clip.samples, said.samples)
        assert final.hypothesis.text == recognize(RecognitionRequest(said)).text


async def test_a_silent_channel_has_no_events_and_the_sums_are_those_of_all() -> None:
    events = await heard(together(SILENT, AGENT))
    assert of_channel(events, 0) == []
    closed = events[-1]
    assert isinstance(closed, StreamClosed)
    assert closed.received == 8 * SECOND == closed.speech + closed.non_speech + closed.dropped
    assert closed.segments == len(finals(events)) == 2
    assert sum(isinstance(event, StreamClosed) for event in events) == 1


async def test_a_channel_is_a_speaker_of_each_word() -> None:
    class WithWords(Recognizer):
        def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
            return [Hypothesis("w", (Word("w", each.clip.start, each.clip.end),)) for each in requests]

    async with models(WithWords()) as shared:
        with MultichannelStream(shared, OPTIONS, "s", 2) as stream:
            stream.receive_audio(together(CALLER, AGENT))
            stream.end(Reason.END_OF_STREAM)
            said = finals(await events_of(stream))
    assert {(final.channel, final.speaker) for final in said} == {(0, "A"), (1, "B")}
    assert all(word.speaker == final.speaker for final in said for word in final.hypothesis.words)


async def test_commands_reach_every_channel_at_the_same_sample() -> None:
    async with models() as shared:
        with MultichannelStream(shared, OPTIONS, "s", 2) as stream:
            stream.receive_audio(together(AGENT[:SECOND], AGENT[:SECOND]))
            stream.mark("m")
            stream.commit()
            stream.receive_audio(Clip(together(AGENT[:SECOND], CALLER[:SECOND]).samples, SECOND))
            stream.clear()
            stream.note("n")
            stream.end(Reason.END_OF_STREAM)
            events = await events_of(stream)
    for channel in (0, 1):
        own = of_channel(events, channel)
        assert finals(own)[0].reason is Reason.COMMIT
        assert finals(own)[0].clip.end == SECOND
        assert [event.id for event in own if isinstance(event, MarkerReached)] == ["m"]
        assert [event.at for event in own if isinstance(event, NoteReached)] == [2 * SECOND]
    dropped = [event.end - event.start for event in events if isinstance(event, AudioCleared)]
    assert len(dropped) == 2
    assert sorted(dropped)[1] > 0


async def test_no_audio_ends_the_utterance_of_every_channel() -> None:
    async with models() as shared:
        with MultichannelStream(shared, OPTIONS, "s", 2) as stream:
            stream.receive_audio(together(AGENT[:SECOND], AGENT[:SECOND]))
            stream.end_without_audio()
            stream.receive_audio(Clip(together(AGENT, CALLER).samples, SECOND))
            stream.end(Reason.END_OF_STREAM)
            said = finals(await events_of(stream))
    for channel in (0, 1):
        first = finals(of_channel(said, channel))[0]
        assert (first.reason, first.clip.end) == (Reason.NO_AUDIO, SECOND)


async def test_one_channel_may_be_committed_alone() -> None:
    async with models() as shared:
        with MultichannelStream(shared, OPTIONS, "s", 2) as stream:
            stream.receive_audio(together(AGENT[:SECOND], AGENT[:SECOND]))
            stream.channels[1].commit()
            stream.end(Reason.DISCONNECT)
            said = finals(await events_of(stream))
    assert {final.channel: final.reason for final in said} == {0: Reason.DISCONNECT, 1: Reason.COMMIT}


async def test_lag_of_the_server_is_told_once() -> None:
    async with models() as shared:
        with MultichannelStream(shared, replace(OPTIONS, lag=True), "s", 3) as stream:
            for driver in stream.channels:
                driver.report_lag(5_000)
            stream.end(Reason.END_OF_STREAM)
            events = await events_of(stream)
    assert [event for event in events if isinstance(event, LagReported)] == [LagReported(5_000)]


async def test_audio_waits_while_one_channel_is_full() -> None:
    async with models() as shared:
        with MultichannelStream(shared, OPTIONS, "s", 2) as stream:
            assert stream.has_capacity
            for start in range(0, 70 * SECOND, 4 * SECOND):
                await stream.wait_for_capacity()
                stream.receive_audio(Clip(together(AGENT, SILENT).samples, start))
            stream.end(Reason.END_OF_STREAM)
            closed = (await events_of(stream))[-1]
    assert isinstance(closed, StreamClosed)
    assert closed.received == 2 * 72 * SECOND


async def test_a_failure_of_the_detector_ends_all_channels() -> None:
    async with models(detector=BrokenDetector()) as shared:
        with MultichannelStream(shared, OPTIONS, "s", 2) as stream:
            stream.receive_audio(together(CALLER, AGENT))
            with pytest.raises(DetectorFailed):
                await events_of(stream)
            closed = stream.abandon()
    assert (closed.received, closed.dropped) == (8 * SECOND, 8 * SECOND)


async def test_slots_are_returned_also_if_not_all_channels_get_one() -> None:
    class Few(Slots):
        def open(self) -> int:
            if self.lent == 2:
                raise RuntimeError("no slot is free")
            return super().open()

    async with models() as shared:
        few = replace(shared, slots=Few())
        with MultichannelStream(few, OPTIONS, "s", 2):
            assert few.slots.lent == 2  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError), MultichannelStream(few, OPTIONS, "s", 3):
            pass
        assert few.slots.lent == 0  # type: ignore[attr-defined]


runs = st.lists(st.tuples(st.booleans(), st.integers(400, 30_000)), min_size=1, max_size=5).map(
    lambda each: sound(*each)
)
encodings = st.sampled_from([Format.PCM16, Format.PCMA, Format.FLOAT32])


def interleaved(channels: Sequence[Samples], form: Format) -> bytes:
    longest = max(map(len, channels))
    frames = np.stack([np.pad(each, (0, longest - len(each))) for each in channels], axis=1)
    if form is Format.FLOAT32:
        return frames.astype("<f4").tobytes()
    if form is Format.PCM16:
        return (frames * 32767).astype("<i2").tobytes()
    return (frames * 127 + 128).astype(np.uint8).tobytes()  # any byte is a sample


async def decoded(
    shared: ModelClients,
    stream: StreamDriver | MultichannelStream,
    decoder: Decoder,
    pieces: Sequence[bytes],
    encoding: Encoding,
) -> list[Event]:
    """Return the events for bytes that arrive in these pieces, without those that depend on time."""

    def take(clip: Clip | None) -> None:
        if clip is not None:
            stream.receive_audio(clip)

    with stream:
        for piece in pieces:
            take(decoder.decode(piece, encoding))
            while decoder.has_pending:
                take(decoder.continue_decoding())
            await asyncio.sleep(0)
        take(decoder.flush())
        stream.end(Reason.END_OF_STREAM)
        return [event for event in await events_of(stream) if not isinstance(event, PartialTranscript)]


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    return pieces


def alone(event: Event) -> Event:
    """Return the event as a stream with this channel alone gives it, in comparable form."""
    if isinstance(event, ChannelEvent):
        event = replace(event, channel=None)
    return replace(event, speaker=None) if isinstance(event, FinalTranscript) else event


def flat(events: Sequence[Event]) -> tuple[list[object], list[Event]]:
    """Return the finals, with samples in place of clips, which are not comparable; and the other events.

    When a final comes among the other events depends on how fast the recognizer is.
    """
    return [
        (event.utterance, event.clip.start, event.clip.samples.tobytes(), event.reason, event.hypothesis)
        for event in finals(events)
    ], [event for event in events if not isinstance(event, FinalTranscript)]


@given(
    channels=st.lists(runs, min_size=1, max_size=3),
    form=encodings,
    rate=st.sampled_from([8_000, SAMPLE_RATE, 44_100]),
    sizes=st.lists(st.integers(1, 9_999), min_size=1, max_size=4),
)
@examples(40)
def test_a_channel_has_the_events_of_a_stream_with_it_alone(
    channels: list[Samples], form: Format, rate: int, sizes: list[int]
) -> None:
    """The bytes may be cut anywhere, also inside a frame."""
    count = len(channels)
    data = interleaved(channels, form)
    mono, apart = Encoding(form, rate), Encoding(form, rate, count)
    width = mono.frame_bytes
    frames = np.frombuffer(data, np.uint8).reshape(-1, count, width)

    async def check() -> None:
        async with models() as shared:
            stream = MultichannelStream(shared, OPTIONS, "s", count)
            pieces = cut(data, sizes)
            events = await decoded(shared, stream, Decoder(apart=count), pieces, apart)
            for channel in range(count):
                own = cut(frames[:, channel].tobytes(), [max(1, size // count) for size in sizes])
                driver = StreamDriver(shared, OPTIONS, "t")
                *expected, closed = await decoded(shared, driver, Decoder(), own, mono)
                assert flat(list(map(alone, of_channel(events, channel)))) == flat(expected)
                assert isinstance(closed, StreamClosed)
                assert stream.channels[channel].session.received == closed.received

    asyncio.run(check())


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=12))
@examples(20)
def test_partials_of_one_channel_do_not_displace_the_finals_of_another(turns: list[tuple[int, bool]]) -> None:
    """Each utterance of each channel begins, ends and gets its final in this order."""
    pieces: list[list[Samples]] = [[], []]
    for channel, speaks in turns:
        for each in (0, 1):
            loud = speaks and each == channel
            pieces[each].append(sound((loud, SECOND // 2)))
    clip = together(*(np.concatenate([*own, SILENT]) for own in pieces))
    events = asyncio.run(heard(clip, replace(OPTIONS, partials=True)))
    for channel in (0, 1):
        own = [event for event in of_channel(events, channel) if hasattr(event, "utterance")]
        numbers = [event.utterance for event in own if isinstance(event, UtteranceStarted)]
        assert numbers == [final.utterance for final in finals(own)] == sorted(set(numbers))
        for _, group in groupby(sorted(own, key=lambda e: e.utterance), key=lambda e: e.utterance):
            kinds = [type(event).__name__ for event in group if not isinstance(event, PartialTranscript)]
            assert kinds == ["UtteranceStarted", "UtteranceEnded", "FinalTranscript"]
