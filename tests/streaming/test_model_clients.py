"""Test what recognizers change in a client's options."""

from asr.recognizer import Hypothesis, RecognitionRequest
from batching.batcher import Batcher
from batching.worker import ThreadWorker
from streaming.degradation import NO_DEGRADATION
from streaming.model_clients import INCREMENTAL_INTERVAL, ModelClients, Probabilities
from streaming.options import SessionOptions
from tests.streaming.fakes import detect, transcribe
from tests.streaming.working_models import Slots
from vad.detector_input import DetectorInput
from vad.options import VadOptions

CHOSEN = SessionOptions(vad=VadOptions(silence_ms=700), partial_interval=16_000)


def models(incremental: bool) -> ModelClients:
    vad: Batcher[DetectorInput, Probabilities] = Batcher(
        ThreadWorker(lambda: None, detect, name="vad"), max_items=1, max_waiting=1
    )
    asr: Batcher[RecognitionRequest, Hypothesis] = Batcher(
        ThreadWorker(lambda: None, transcribe, name="asr"), max_items=1, max_waiting=1
    )
    return ModelClients(Slots(), vad, asr, incremental)


def test_options_are_unchanged_for_most_recognizers() -> None:
    assert models(incremental=False).adapt(CHOSEN) is CHOSEN


def test_incremental_recognizer_gets_frequent_full_partials() -> None:
    adapted = models(incremental=True).adapt(CHOSEN)
    assert adapted.partials
    assert adapted.partial_interval == INCREMENTAL_INTERVAL
    assert not adapted.bounded_partials
    assert adapted.vad == CHOSEN.vad


def test_shorter_partial_interval_is_kept() -> None:
    often = SessionOptions(partials=True, partial_interval=1_600)
    assert models(incremental=True).adapt(often).partial_interval == 1_600


def test_adapting_twice_changes_nothing() -> None:
    shared = models(incremental=True)
    assert shared.adapt(shared.adapt(CHOSEN)) == shared.adapt(CHOSEN)


def test_degradation_is_none_by_default() -> None:
    assert models(incremental=False).degradation() is NO_DEGRADATION
