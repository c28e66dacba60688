"""SessionOptions: what a client may choose for its stream."""

from dataclasses import dataclass, field
from typing import Final

from asr.hypothesis import Options
from audio.clip import SAMPLE_RATE
from stream.turns import FixedSilence, Turn
from vad.options import VadOptions

PARTIAL_INTERVAL: Final = SAMPLE_RATE // 2


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The choices in force from some sample of the stream on.

    partials: transcribe what is being said while it is being said
    partial_interval: samples of new speech between two partials of an utterance
    bounded_partials: a partial hears the last seconds of a long utterance, not all of it
    turn: how long a pause may last, judged by what the eager transcription has heard
    eager: transcribe when a pause begins, so that the final is ready when the pause has become an endpoint
    """

    vad: VadOptions = field(default_factory=VadOptions)
    asr: Options = field(default_factory=Options)
    partials: bool = False
    partial_interval: int = PARTIAL_INTERVAL
    bounded_partials: bool = True
    eager: bool = True
    turn: Turn = field(default_factory=FixedSilence)
