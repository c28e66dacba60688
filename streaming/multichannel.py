"""Run the channels of one connection apart, each as a stream of its own (docs/decisions/0029)."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from audio.clip import Clip
from diarization.known_speakers import LABELS
from streaming.driver import StreamDriver
from streaming.events import ChannelEvent, Event, FinalTranscript, LagReported, StreamClosed
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.session import Session
from vad.segmenter import Reason

Of = TypeVar("Of", bound=ChannelEvent)


class MultichannelStream:
    """Run a stream for each channel, as if they were one stream. A context manager, as a StreamDriver is.

    All channels receive the same number of samples, the same commands, and end together. Each has a slot of
    the detector, segments, results and bounds of its own, so its events are those of a stream with that
    channel alone; they carry its number. A channel is a speaker: finals of the first one are spoken by A.

    channels: the streams, one for each channel
    """

    def __init__(
        self,
        models: ModelClients,
        options: SessionOptions,
        name: str,
        channels: int,
        connected: float | None = None,
    ) -> None:
        """Begin the streams. channels: their number, from 1 on; the rest is as for StreamDriver."""
        self._events_changed = asyncio.Event()
        self.channels = tuple(
            StreamDriver(
                models,
                options,
                f"{name}_{channel}",
                connected=connected,
                events_changed=self._events_changed,
            )
            for channel in range(channels)
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for driver in self.channels:
                stack.enter_context(driver)
            self._leaving = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.__exit__(kind, error, trace)

    # From the client

    @property
    def session(self) -> Session:
        """The session of the first channel: all receive as much, and end together."""
        return self.channels[0].session

    @property
    def models(self) -> ModelClients:
        """The models that all channels share."""
        return self.channels[0].models

    @property
    def received(self) -> int:
        """Samples received so far, of each channel."""
        return self.session.received

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted."""
        return self.session.input_ended

    @property
    def accepts_turn_model(self) -> bool:
        """Whether the endpointing may depend on a model of the end of a turn."""
        return self.channels[0].accepts_turn_model

    def receive_audio(self, clip: Clip) -> None:
        """Accept the next samples, (n, channels)."""
        for samples, driver in zip(clip.samples.T, self.channels, strict=True):
            driver.receive_audio(Clip(samples.copy(), clip.start, clip.is_pcm16))

    def commit(self) -> None:
        """End the open utterances here."""
        for driver in self.channels:
            driver.commit()

    def end_without_audio(self) -> None:
        """End the open utterances here, because no audio follows for now; a StreamDriver says which."""
        for driver in self.channels:
            driver.end_without_audio()

    def clear(self) -> None:
        """Drop the open utterances."""
        for driver in self.channels:
            driver.clear()

    def mark(self, marker: str) -> None:
        """Let MarkerReached come from each channel when everything up to here has been recognised in it."""
        for driver in self.channels:
            driver.mark(marker)

    def note(self, note: object) -> None:
        """Let NoteReached come from each channel when everything up to here has been judged in it."""
        for driver in self.channels:
            driver.note(note)

    def update(self, options: SessionOptions) -> None:
        """Use other options from here on."""
        for driver in self.channels:
            driver.update(options)

    def end(self, reason: Reason) -> None:
        """Accept no more audio; the open segments are transcribed, then `events` ends."""
        for driver in self.channels:
            driver.end(reason)

    def abandon(self) -> StreamClosed:
        """Account for all samples although results are missing; the stream is over. Idempotent."""
        return _sum(driver.abandon() for driver in self.channels)

    @property
    def has_capacity(self) -> bool:
        """Whether more audio may come in."""
        return all(driver.has_capacity for driver in self.channels)

    async def wait_for_capacity(self) -> None:
        """Wait until more audio may come in; raises what a StreamDriver raises."""
        while not self.has_capacity:
            for driver in self.channels:
                await driver.wait_for_capacity()

    # To the client

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events, in the order of each channel, up to one StreamClosed with the sums of all.

        The lag of recognition is that of all streams, so it is reported once. Raises DetectorFailed,
        StreamBroken.
        """
        running, closed = dict(enumerate(self.channels)), list[StreamClosed]()
        while running:
            self._events_changed.clear()
            is_idle = True
            for channel, driver in list(running.items()):
                event = driver.take_event()
                if event is None:
                    continue
                is_idle = False
                if isinstance(event, StreamClosed):
                    del running[channel]
                    closed.append(event)
                elif isinstance(event, ChannelEvent):
                    yield _of_channel(event, channel)
                elif not isinstance(event, LagReported) or driver is self.channels[0]:
                    yield event
            if is_idle:
                await self._events_changed.wait()
        yield _sum(closed)


def _of_channel(event: Of, channel: int) -> Of:
    """Return the event with its channel; a final is spoken by the channel's speaker."""
    if not isinstance(event, FinalTranscript):
        return replace(event, channel=channel)
    speaker = LABELS[channel]
    words = tuple(replace(word, speaker=speaker) for word in event.hypothesis.words)
    return replace(event, channel=channel, speaker=speaker, hypothesis=replace(event.hypothesis, words=words))


def _sum(closed: Iterable[StreamClosed]) -> StreamClosed:
    """Return the sums of all channels."""
    sums = zip(*((c.received, c.speech, c.non_speech, c.dropped, c.segments) for c in closed), strict=True)
    return StreamClosed(*map(sum, sums))
