"""Define the options that a client may choose for its stream."""

from dataclasses import dataclass, field, replace
from typing import Final, Self

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import TranscriptionOptions
from audio.clip import SAMPLE_RATE, samples_from_ms
from postprocessing.options import TextOptions
from streaming.endpointing import EndpointPolicy, FixedSilence, ModelSilence
from vad.options import FILE_PAUSE_MS, FILE_SEGMENT_MS, VadOptions

PARTIAL_INTERVAL: Final = SAMPLE_RATE // 2


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Hold the options in force from some sample of the stream on.

    partials: transcribe an utterance while it is being spoken
    partial_interval: samples of new speech between two partials of an utterance
    bounded_partials: transcribe only the last seconds of a long utterance for a partial
    eager: transcribe when a pause begins, so that the final is ready when the pause becomes an endpoint;
        happens in any case if the endpointing depends on the text
    turn: how long a pause may last, depending on the text of the eager transcription or on a model
    continues: recognize an utterance together with the one before if that ended less than a second before
    guards: thresholds at which text is rejected because there is no speech under it
    lag: report how far recognition is behind
    text: what is done to the text of an utterance before anything of it leaves the session
    """

    vad: VadOptions = field(default_factory=VadOptions)
    asr: TranscriptionOptions = field(default_factory=TranscriptionOptions)
    partials: bool = False
    partial_interval: int = PARTIAL_INTERVAL
    bounded_partials: bool = True
    eager: bool = True
    turn: EndpointPolicy = field(default_factory=FixedSilence)
    continues: bool = False
    guards: FilterThresholds = field(default_factory=FilterThresholds)
    lag: bool = False
    text: TextOptions = field(default_factory=TextOptions)

    def for_file(self) -> Self:
        """Return the options for a file, whose segments are long and end at long silences."""
        longest = min(self.vad.max_segment_ms, FILE_SEGMENT_MS)
        return replace(self, vad=replace(self.vad, pause_ms=FILE_PAUSE_MS, max_segment_ms=longest))

    @property
    def default_silence(self) -> int:
        """Samples of silence that end an utterance unless the endpointing says otherwise."""
        return samples_from_ms(self.vad.silence_ms)

    @property
    def min_silence(self) -> int | None:
        """Samples of a pause after which its text must be known; None if the text does not matter."""
        return self.turn.min_silence(self.default_silence)

    @property
    def turn_model(self) -> ModelSilence | None:
        """The endpointing, if it depends on a model of the end of a turn."""
        return self.turn if isinstance(self.turn, ModelSilence) else None

    @property
    def wants_eager(self) -> bool:
        """Whether to transcribe when a pause begins."""
        return self.eager or self.min_silence is not None
