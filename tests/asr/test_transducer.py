"""Transducer on tiny networks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from asr.cuda_graph import GraphCapture, Step
from asr.hotword_boosting import PhraseTree
from asr.recognizer import RecognitionRequest, TranscriptionOptions
from asr.transducer import (
    FIRST_BONUS_NATS,
    GRAPH_ROWS,
    NEXT_BONUS_NATS,
    Transducer,
    TransducerDecoder,
)
from tests.asr import families, tiny
from tests.asr.gpu import needs_gpu

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "parakeet-tdt": lambda folder: tiny.transducer(folder, "TDT", blank_bias=-6),
    "parakeet-rnnt": lambda folder: tiny.transducer(folder, "RNNT", blank_bias=10),
    "nemotron": lambda folder: tiny.transducer(folder, "RNNT", kind="NemotronAsrStreaming", blank_bias=-3),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("transducer")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module", params=list(BUILDERS))
def recognizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Transducer:
    return Transducer.load(folders[request.param], device="cpu", dtype="float32")


@pytest.mark.parametrize("seed", range(2))
def test_a_batched_result_is_the_lone_one(recognizer: Transducer, seed: int) -> None:
    families.assert_batched_equals_alone(recognizer, seed)


def test_short_and_silent_clips_are_answered(recognizer: Transducer) -> None:
    families.assert_short_and_silent_clips_are_answered(recognizer)


def test_words_tell_the_text_and_lie_in_the_clip(recognizer: Transducer) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(recognizer)


def test_only_word_times_and_hotwords_are_honoured(recognizer: Transducer) -> None:
    families.assert_only_word_times_are_honoured(recognizer)


def test_it_says_what_it_is(recognizer: Transducer) -> None:
    assert (recognizer.family, recognizer.device, recognizer.dtype) == ("transducer", "cpu", "float32")
    assert recognizer.languages == ()


@pytest.mark.parametrize(
    ("name", "auto"),
    [
        ("parakeet-tdt", "AutoModelForTDT"),
        ("parakeet-rnnt", "AutoModelForRNNT"),
        ("nemotron", "AutoModelForRNNT"),
    ],
)
def test_pieces_are_those_of_transformers_own_generate(
    name: str, auto: str, folders: dict[str, Path]
) -> None:
    recognizer = Transducer.load(folders[name], device="cpu", dtype="float32")
    processor, model = tiny.parts(folders[name], auto)
    for seed in range(3):
        clip = tiny.babble(2, seed)
        (answer,) = recognizer.transcribe([RecognitionRequest(clip)])
        features = processor([clip.samples], sampling_rate=16_000)
        sequence = model.generate(**features, max_new_tokens=500).sequences[0]
        kept = [int(token) for token in sequence if int(token) != model.config.blank_token_id]
        assert answer.text == " ".join(processor.decode(kept, skip_special_tokens=True).split())


@pytest.mark.parametrize("name", ["parakeet-tdt", "parakeet-rnnt"])
def test_a_network_that_never_says_blank_still_ends(name: str, folders: dict[str, Path]) -> None:
    """With all durations zero, generate() stays on a frame of a TDT model until its buffer is full."""
    _, model = tiny.parts(folders[name], "AutoModelForTDT" if name.endswith("tdt") else "AutoModelForRNNT")
    frames, most = 7, model.config.max_symbols_per_step
    with torch.inference_mode():
        model.joint.head.bias[model.config.blank_token_id] = -1e4
        model.joint.head.bias[model.config.vocab_size :][:1] = (
            1e4  # a duration of 0, where there are durations
        )
        (emissions,) = TransducerDecoder(model).decode(torch.randn(1, frames, 32), torch.tensor([frames]))
    assert len(emissions) == frames * most
    assert [emission.frame for emission in emissions] == [
        frame for frame in range(frames) for _ in range(most)
    ]


def record(step: Step) -> Step:
    """Return what repeats the operations of a step on the same tensors, as a CUDA graph does.

    Raises RuntimeError if the step reads a tensor on the host.
    """
    repeat: Step = make_fx(lambda: step())()
    return repeat


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(BUILDERS))
def test_recorded_steps_emit_what_plain_steps_emit(
    name: str, dtype: torch.dtype, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    _, model = tiny.parts(folders[name], "AutoModelForTDT" if name.endswith("tdt") else "AutoModelForRNNT")
    model.to(dtype)
    plain, recorded = TransducerDecoder(model), TransducerDecoder(model, GraphCapture(record))
    assert "cuda_graph" not in caplog.text
    random = torch.Generator().manual_seed(0)
    count = 0
    for rows, frames in [(3, 30), (1, 12), (4, 7), (2, 40), (5, 3), (1, 0), (17, 9)]:
        encoded = (3 * torch.randn(rows, frames, 32, generator=random)).to(dtype)
        valid = torch.randint(frames + 1, (rows,), generator=random)
        with torch.inference_mode():
            theirs, ours = plain.decode(encoded, valid), recorded.decode(encoded, valid)
        count += sum(map(len, theirs))
        for expected, emissions in zip(theirs, ours, strict=True):
            assert [replace(each, log_prob=0) for each in emissions] == [
                replace(each, log_prob=0) for each in expected
            ]
            assert [each.log_prob for each in emissions] == pytest.approx(
                [each.log_prob for each in expected], abs=1e-4
            )
    assert count > 50


def test_a_captured_step_that_does_something_else_is_not_used(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    _, model = tiny.parts(folders["parakeet-tdt"], "AutoModelForTDT")
    wrong = TransducerDecoder(model, GraphCapture(lambda step: lambda: None))
    assert "cuda_graph.wrong rows=256" in caplog.text
    random = torch.Generator().manual_seed(0)
    encoded, valid = 3 * torch.randn(2, 20, 32, generator=random), torch.tensor([20, 9])
    with torch.inference_mode():
        rows = [decoder.decode(encoded, valid) for decoder in (wrong, TransducerDecoder(model))]
    ours, theirs = ([[replace(each, log_prob=0) for each in row] for row in one] for one in rows)
    assert ours == theirs


def test_more_rows_than_a_graph_has_are_decoded(folders: dict[str, Path]) -> None:
    _, model = tiny.parts(folders["parakeet-tdt"], "AutoModelForTDT")
    encoded, valid = torch.randn(GRAPH_ROWS[-1] + 1, 2, 32), torch.full((GRAPH_ROWS[-1] + 1,), 2)
    with torch.inference_mode():
        assert TransducerDecoder(model, GraphCapture(record)).decode(encoded, valid) == TransducerDecoder(
            model
        ).decode(encoded, valid)


@needs_gpu
@pytest.mark.parametrize("name", list(BUILDERS))
def test_a_gpu_recognizes_what_a_cpu_recognizes(
    name: str, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    gpu, cpu = (
        Transducer.load(folders[name], device=device, dtype="float32") for device in ("cuda:0", "cpu")
    )
    assert "cuda_graph" not in caplog.text
    requests = [RecognitionRequest(tiny.babble(1 + seed, seed)) for seed in range(5)]
    for ours, theirs in zip(gpu.transcribe(requests), cpu.transcribe(requests), strict=True):
        families.assert_same(ours, theirs)


def test_a_row_without_frames_says_nothing(folders: dict[str, Path]) -> None:
    _, model = tiny.parts(folders["parakeet-rnnt"], "AutoModelForRNNT")
    with torch.inference_mode():
        assert TransducerDecoder(model).decode(torch.randn(2, 3, 32), torch.tensor([0, 0])) == [[], []]


@pytest.fixture(scope="module", params=["parakeet-tdt", "parakeet-rnnt"])
def echo(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Any:
    """Emit the token or blank that the encoder output names at each frame."""
    _, model = tiny.parts(
        folders[request.param], "AutoModelForTDT" if request.param.endswith("tdt") else "AutoModelForRNNT"
    )
    model.config.max_symbols_per_step = 1
    with torch.no_grad():
        for parameter in model.decoder.decoder_projector.parameters():
            parameter.zero_()
        model.joint.head.weight.copy_(torch.eye(*model.joint.head.weight.shape))
        model.joint.head.bias.zero_()
        model.joint.head.bias[model.config.vocab_size :][1:2] = (
            100  # a duration of 1, where there are durations
        )
    return model


VOCABULARY = ["<unk>", "<pad>", *tiny.PIECES, "<blank>"]
STREAMING = tuple(map(VOCABULARY.index, ("▁stream", "ing")))


def heard(*frames: dict[str, float]) -> torch.Tensor:
    """Return logits (1, frames, hidden): pieces at 0 or more, all others below 0."""
    encoded = torch.zeros(1, len(frames), 32)
    for row, frame in zip(encoded[0], frames, strict=True):
        for piece, logit in frame.items():
            row[VOCABULARY.index(piece)] = logit
    return encoded


def said(model: Any, encoded: torch.Tensor, *trees: PhraseTree | None) -> list[str]:
    valid = torch.full((len(encoded),), encoded.shape[1])
    with torch.inference_mode():
        rows = TransducerDecoder(model).decode(encoded, valid, trees)
    return ["".join(VOCABULARY[emission.id] for emission in row) for row in rows]


SPEECH_ING = heard(
    {"▁speech": 20, "▁stream": 20.1 - FIRST_BONUS_NATS}, {"s": 20, "ing": 20.1 - NEXT_BONUS_NATS}
)


def test_a_phrase_that_narrowly_loses_wins_when_it_is_boosted(echo: Any) -> None:
    assert said(echo, SPEECH_ING) == ["▁speechs"]
    assert said(echo, SPEECH_ING, PhraseTree([STREAMING])) == ["▁streaming"]


def test_a_phrase_is_boosted_to_its_end(echo: Any) -> None:
    """The second and third token of the phrase are narrowly less likely."""
    phrase = tuple(map(VOCABULARY.index, ("▁stream", "ing", "▁clip")))
    said_so = heard({"▁stream": 20}, {"s": 20, "ing": 19}, {"▁sound": 20, "▁clip": 19.5 - FIRST_BONUS_NATS})
    assert said(echo, said_so, PhraseTree([phrase])) == ["▁streaming▁clip"]


def test_a_phrase_that_loses_by_more_than_its_bonus_loses(echo: Any) -> None:
    first = heard({"▁speech": 20, "▁stream": 19.9 - FIRST_BONUS_NATS}, {"s": 20, "ing": 19.9})
    second = heard({"▁stream": 20}, {"s": 20, "ing": 19.9 - NEXT_BONUS_NATS})
    assert said(echo, torch.cat([first, second]), *[PhraseTree([STREAMING])] * 2) == ["▁speechs", "▁streams"]


def test_a_phrase_is_boosted_from_its_beginning_only(echo: Any) -> None:
    middle = heard({"▁speech": 20}, {"s": 20, "ing": 19.9})
    assert said(echo, middle, PhraseTree([STREAMING])) == ["▁speechs"]


def test_a_false_start_does_not_push_on(echo: Any) -> None:
    """After it, the result is the same as without boosting."""
    start = heard({"▁speech": 20, "▁stream": 19.5}, {"s": 20, "ing": 17}, {"▁of": 20, "ing": 19.9})
    assert said(echo, start, PhraseTree([STREAMING])) == ["▁streams▁of"]


def test_nothing_is_written_where_the_network_hears_nothing(echo: Any) -> None:
    quiet = heard({"<blank>": 20, "▁stream": 19.9}, {"<blank>": 20, "ing": 19.9}, {"▁the": 20})
    assert said(echo, quiet, PhraseTree([STREAMING])) == ["▁the"]


def test_every_row_has_its_own_phrases(echo: Any) -> None:
    speeches = PhraseTree([tuple(map(VOCABULARY.index, ("▁speech", "s")))])
    rows = SPEECH_ING.repeat(4, 1, 1)
    assert said(echo, rows, None, PhraseTree([STREAMING]), speeches, PhraseTree([])) == [
        "▁speechs",
        "▁streaming",
        "▁speechs",
        "▁speechs",
    ]


def test_the_log_probability_is_the_networks_own(echo: Any) -> None:
    with torch.inference_mode():
        ((first, second),) = TransducerDecoder(echo).decode(
            SPEECH_ING, torch.tensor([2]), [PhraseTree([STREAMING])]
        )
    log_probs = SPEECH_ING[0, :, : echo.config.vocab_size].log_softmax(-1)
    assert first.log_prob == pytest.approx(float(log_probs[0, STREAMING[0]]), abs=1e-4)
    assert second.log_prob == pytest.approx(float(log_probs[1, STREAMING[1]]), abs=1e-4)


@pytest.mark.parametrize("name", ["parakeet-rnnt", "nemotron"])
def test_hotwords_of_one_clip_do_not_leak_into_others(name: str, folders: dict[str, Path]) -> None:
    recognizer = Transducer.load(folders[name], device="cpu", dtype="float32")
    hotwords = [(), ("sound",), ("of the", "stream"), (), ("łódź",), ("speech", "łódź")]
    requests = [
        RecognitionRequest(tiny.babble(2, seed), TranscriptionOptions(words=True, hotwords=hot))
        for seed, hot in zip((1, 2, 3, 4, 1, 2), hotwords, strict=True)
    ]
    together = recognizer.transcribe(requests)
    assert [each.ignored for each in together] == [(), (), (), (), ("hotwords",), ("hotwords",)]
    plain = recognizer.transcribe([RecognitionRequest(request.clip) for request in requests])
    changed = [ours.text != theirs.text for ours, theirs in zip(together, plain, strict=True)]
    assert (changed[0], changed[3], changed[4]) == (False, False, False)
    assert any(changed)
    for request, answer in zip(requests, together, strict=True):
        families.assert_same(answer, recognizer.transcribe([request])[0])
