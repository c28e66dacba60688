"""Log-mel features of a batch, compared with the feature extractors of transformers."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from asr.batch_log_mel import batch_log_mel, upload
from audio.clip import SAMPLE_RATE, Samples
from tests.asr.gpu import needs_gpu

_: Any = transformers  # transformers is typed in part

# Seconds and RMS: speech levels, a faint row, and digital silence.
ROWS = [(5.0, 0.1), (3.2, 0.01), (0.1, 0.3), (4.0, 1e-4), (2.5, 0.0)]
# A quiet bin is divided by its small deviation, which magnifies the rounding of its sums.
TOLERANCE, NORMALIZED_TOLERANCE = 1e-5, 5e-4


@pytest.fixture(scope="module")
def rows() -> list[Samples]:
    random = np.random.default_rng(0)
    return [
        (random.standard_normal(round(seconds * SAMPLE_RATE)) * level).astype(np.float32)
        for seconds, level in ROWS
    ]


def of_transformers(extractor: Any, rows: list[Samples], **options: Any) -> Any:
    return extractor(
        rows, sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt", **options
    )


@pytest.mark.parametrize(
    ("extractor", "tolerance"),
    [
        (_.ParakeetFeatureExtractor(), NORMALIZED_TOLERANCE),
        (_.ParakeetFeatureExtractor(feature_size=128, preemphasis=None), NORMALIZED_TOLERANCE),
        (_.NemotronAsrStreamingFeatureExtractor(), TOLERANCE),
        (_.NemotronAsrStreamingFeatureExtractor(mel_filters_dtype="bfloat16"), TOLERANCE),
    ],
    ids=["parakeet", "parakeet-128", "nemotron", "nemotron-rounded"],
)
def test_conformer_features_equal_those_of_transformers(
    rows: list[Samples], extractor: Any, tolerance: float
) -> None:
    log_mel = batch_log_mel(extractor, "cpu")
    assert log_mel is not None
    ours, theirs = log_mel(*upload(rows, max(map(len, rows)), "cpu")), of_transformers(extractor, rows)
    torch.testing.assert_close(ours["input_features"], theirs["input_features"], rtol=0, atol=tolerance)
    assert torch.equal(ours["attention_mask"], theirs["attention_mask"].long())


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("seconds", [4, 30])
def test_whisper_features_equal_those_of_transformers(rows: list[Samples], bins: int, seconds: int) -> None:
    """A window of 4 s cuts the longest row."""
    extractor, width = _.WhisperFeatureExtractor(feature_size=bins), seconds * SAMPLE_RATE
    log_mel = batch_log_mel(extractor, "cpu")
    assert log_mel is not None
    (ours,) = log_mel(*upload(rows, width, "cpu")).values()
    theirs = of_transformers(extractor, rows, padding="max_length", max_length=width)["input_features"]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


def test_features_of_a_row_do_not_depend_on_other_rows(rows: list[Samples]) -> None:
    log_mel = batch_log_mel(_.ParakeetFeatureExtractor(), "cpu")
    assert log_mel is not None
    together = log_mel(*upload(rows, max(map(len, rows)), "cpu"))
    for index, row in enumerate(rows):
        alone = log_mel(*upload([row], len(row), "cpu"))
        frames = int(alone["attention_mask"].sum())
        assert int(together["attention_mask"][index].sum()) == frames
        torch.testing.assert_close(
            together["input_features"][index, :frames],
            alone["input_features"][0, :frames],
            rtol=0,
            atol=NORMALIZED_TOLERANCE,
        )


def test_a_model_that_takes_samples_has_no_log_mel() -> None:
    assert batch_log_mel(_.Wav2Vec2FeatureExtractor(), "cpu") is None


def test_upload_pads_and_cuts_rows() -> None:
    audio, lengths = upload([np.ones(2, np.float32), np.full(5, 2, np.float32)], 3, "cpu")
    assert audio.tolist() == [[1, 1, 0], [2, 2, 2]]
    assert (audio.dtype, lengths.tolist()) == (torch.float32, [2, 3])


@needs_gpu
@pytest.mark.parametrize("extractor", [_.ParakeetFeatureExtractor(), _.WhisperFeatureExtractor()])
def test_a_gpu_computes_the_features_of_a_cpu(rows: list[Samples], extractor: Any) -> None:
    results = []
    for device in ("cuda:0", "cpu"):
        log_mel = batch_log_mel(extractor, device)
        assert log_mel is not None
        results.append(log_mel(*upload(rows, 5 * SAMPLE_RATE, device))["input_features"].cpu())
    torch.testing.assert_close(*results, rtol=0, atol=NORMALIZED_TOLERANCE)
