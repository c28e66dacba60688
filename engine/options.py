"""Define the options of an engine."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.recognizer_process import LoadOptions


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Hold the models of an engine, where they run, and their limits.

    recognizers: sources by name; the first is the default, which is always loaded
    preload: load the others when the engine starts, not when they are first asked for
    idle_seconds: time without use after which one of the others is unloaded; 0 keeps it
    memory_bytes: most bytes of all recognizers together; 0 for no limit
    load: how a recognizer is loaded
    in_process: whether each recognizer runs in a separate process, not in a thread
    threads: CPU threads of a recognizer in its process; 0 leaves one core to the server
    batch_items, batch_audio_seconds: most tasks and most audio in one batch of a recognizer
    batch_seconds: target duration of such a batch
    queue_items: most tasks that may wait for a recognizer
    deadline_seconds: most time for a batch beside the length of its audio
    detector_device: where the voice detector runs: auto, cpu, cuda or cuda:N
    detector_deadline_seconds: most time for one step of the detector
    streams: most streams at once
    spool_minutes: most audio of a stream that waits for the models on disk
    needs_turn_model: whether loading fails without the model of the end of a turn; otherwise it is loaded if
        it is installed
    distinguishes_speakers: whether clients can ask who speaks; the model is loaded when one does
    speaker_model: folder or hub id of a model that distinguishes the speakers of files in place of the
        built-in one; "" for none
    """

    recognizers: Mapping[str, str]
    preload: bool
    idle_seconds: float
    memory_bytes: int
    load: LoadOptions
    in_process: bool
    threads: int
    batch_items: int
    batch_audio_seconds: float
    batch_seconds: float
    queue_items: int
    deadline_seconds: float
    detector_device: str
    detector_deadline_seconds: float
    streams: int
    spool_minutes: float = 0.0
    needs_turn_model: bool = False
    distinguishes_speakers: bool = True
    speaker_model: str = ""
