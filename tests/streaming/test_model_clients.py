"""Test what recognizers change in a client's options."""

import pytest

from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions
from batching.batcher import Batcher
from batching.threads import ThreadWorker
from postprocessing.options import TextOptions
from streaming.degradation import NO_DEGRADATION
from streaming.model_clients import INCREMENTAL_INTERVAL, LANGUAGE_PAUSE_MS, ModelClients, Probabilities
from streaming.options import SessionOptions
from tests.streaming.fakes import detect, transcribe
from tests.streaming.working_models import Slots
from vad.detector_input import DetectorInput
from vad.options import FILE_PAUSE_MS, VadOptions

CHOSEN = SessionOptions(vad=VadOptions(silence_ms=700), partial_interval=16_000)


def models(incremental: bool = False, languages: tuple[str, ...] = ()) -> ModelClients:
    vad: Batcher[DetectorInput, Probabilities] = Batcher(
        ThreadWorker(lambda: None, detect, name="vad"), max_items=1, max_waiting=1
    )
    asr: Batcher[RecognitionRequest, Hypothesis] = Batcher(
        ThreadWorker(lambda: None, transcribe, name="asr"), max_items=1, max_waiting=1
    )
    return ModelClients(Slots(), vad, asr, incremental, languages=languages)


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


@pytest.mark.parametrize(
    ("languages", "asked", "pause_ms"),
    [
        ((), None, FILE_PAUSE_MS),
        (("en",), None, FILE_PAUSE_MS),
        (("en", "de"), "de", FILE_PAUSE_MS),
        (("en", "de"), None, LANGUAGE_PAUSE_MS),
        (("en", "de"), "la", LANGUAGE_PAUSE_MS),
    ],
)
def test_pause_ends_a_segment_if_the_language_may_change(
    languages: tuple[str, ...], asked: str | None, pause_ms: int
) -> None:
    options = SessionOptions(asr=TranscriptionOptions(asked)).for_file()
    assert models(languages=languages).adapt(options).vad.pause_ms == pause_ms


def test_live_stream_keeps_its_pauses_in_all_languages() -> None:
    assert models(languages=("en", "de")).adapt(CHOSEN) is CHOSEN


def test_degradation_is_none_by_default() -> None:
    assert models(incremental=False).degradation() is NO_DEGRADATION


def test_stream_with_redaction_has_no_partials_but_for_an_incremental_recognizer() -> None:
    redacting = SessionOptions(partials=True, text=TextOptions(redact=("pci",)))
    assert not models(incremental=False).adapt(redacting).partials
    assert models(incremental=True).adapt(redacting).partials  # The session shows none of them.
