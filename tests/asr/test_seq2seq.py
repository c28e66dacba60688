"""Seq2Seq on tiny networks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import RecognitionRequest, TranscriptionOptions
from asr.seq2seq import Seq2Seq
from asr.windows import MAX_COMPRESSION, MIN_TOKEN_LIMIT, WINDOW, split_windows, token_limit
from audio.clip import Clip
from tests.asr import families, tiny
from tests.examples import examples

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "whisper-en": tiny.whisper,
    "whisper": lambda folder: tiny.whisper(folder, languages=("en", "de", "fr")),
    "moonshine": tiny.moonshine,
    "moonshine-streaming": tiny.moonshine_streaming,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("seq2seq")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module", params=list(BUILDERS))
def recognizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Seq2Seq:
    return Seq2Seq.load(folders[request.param], device="cpu", dtype="float32")


def test_a_batched_result_is_the_lone_one(recognizer: Seq2Seq) -> None:
    families.assert_batched_equals_alone(recognizer, seed=0, rows=3)


def test_a_draw_in_a_batch_is_the_lone_one(recognizer: Seq2Seq) -> None:
    """The samples of a clip do not depend on the other clips and their temperatures."""
    requests = [
        RecognitionRequest(tiny.babble(0.3 + seed / 4, seed), TranscriptionOptions(temperature=temperature))
        for seed, temperature in enumerate((0.0, 0.4, 1.0, 1.0, 0.7))
    ]
    for request, together in zip(requests, recognizer.transcribe(requests), strict=True):
        families.assert_same(together, *recognizer.transcribe([request]))


def test_other_sound_draws_other_lots(folders: dict[str, Path]) -> None:
    recognizer = Seq2Seq.load(folders["whisper-en"], device="cpu", dtype="float32")
    hot = TranscriptionOptions(temperature=1.0)
    requests = [RecognitionRequest(tiny.silence(0.5 + place / 16_000), hot) for place in range(4)]
    assert len({answer.text for answer in recognizer.transcribe(requests)}) == 4


def test_short_and_silent_clips_are_answered(recognizer: Seq2Seq) -> None:
    families.assert_short_and_silent_clips_are_answered(recognizer)


def test_it_says_what_it_is(recognizer: Seq2Seq) -> None:
    assert (recognizer.family, recognizer.device, recognizer.dtype) == ("seq2seq", "cpu", "float32")


def test_no_requests_get_no_answers(recognizer: Seq2Seq) -> None:
    assert recognizer.transcribe([]) == []


@pytest.mark.parametrize(("name", "language"), [("whisper-en", None), ("whisper", "de"), ("moonshine", None)])
def test_tokens_are_those_of_transformers_own_generate(
    name: str, language: str | None, folders: dict[str, Path]
) -> None:
    clip = tiny.babble(1.5)
    recognizer = Seq2Seq.load(folders[name], device="cpu", dtype="float32", fallback_temperatures=())
    (answer,) = recognizer.transcribe([RecognitionRequest(clip, TranscriptionOptions(language=language))])
    processor, model = tiny.parts(folders[name], "AutoModelForSpeechSeq2Seq")
    controls = [i for i in processor.tokenizer.all_special_ids if i != model.generation_config.eos_token_id]
    suppressed = [*(model.generation_config.suppress_tokens or ()), *controls]
    ids = model.generate(
        **processor(clip.samples, sampling_rate=16_000, return_tensors="pt"),
        suppress_tokens=suppressed,
        max_new_tokens=token_limit(clip.seconds, 400),
        **({"language": language, "task": "transcribe"} if language else {}),
    )
    assert answer.text == " ".join(processor.batch_decode(ids, skip_special_tokens=True)[0].split())


@pytest.mark.parametrize("name", ["whisper-de", "moonshine"])
def test_a_loop_is_decoded_at_a_temperature_until_it_is_none(name: str, folders: dict[str, Path]) -> None:
    def load(*temperatures: float) -> Seq2Seq:
        return Seq2Seq.load(
            folders[name.removesuffix("-de")],
            device="cpu",
            dtype="float32",
            fallback_temperatures=temperatures,
        )

    language = "de" if name.endswith("-de") else None
    request = RecognitionRequest(tiny.babble(1.5), TranscriptionOptions(language=language))
    ((loop,), (still,), (text,), (again,), (partial,)) = (
        recognizer.transcribe([asked])
        for recognizer, asked in (
            (load(), request),
            (load(0.0001), request),
            (load(0.0001, 1.0), request),
            (load(0.0001, 1.0), request),
            (load(0.0001, 1.0), replace(request, partial=True)),
        )
    )
    assert (loop.compression_ratio or 0) > MAX_COMPRESSION
    assert still.text == partial.text == loop.text
    assert (text.compression_ratio or 0) <= MAX_COMPRESSION
    assert again.text == text.text


def test_moonshine_gives_no_words_rather_than_invented_times(folders: dict[str, Path]) -> None:
    recognizer = Seq2Seq.load(folders["moonshine"], device="cpu", dtype="float32")
    (answer,) = recognizer.transcribe([RecognitionRequest(tiny.babble(1), families.WORDS)])
    assert answer.text
    assert answer.words == ()


def test_a_clip_longer_than_a_window_is_transcribed_whole(folders: dict[str, Path]) -> None:
    recognizer = Seq2Seq.load(folders["moonshine"], device="cpu", dtype="float32")
    pause = tiny.silence(0.3)
    clip = Clip(np.concatenate([tiny.babble(27, 1).samples, pause.samples, tiny.babble(5, 2).samples]))
    whole, *parts = recognizer.transcribe([RecognitionRequest(part) for part in (clip, *split_windows(clip))])
    assert whole.text == " ".join(part.text for part in parts)
    assert len(parts) == 2


@examples(30)
@given(extra=st.integers(0, 3 * WINDOW), start=st.integers(0, 10**9))
def test_windows_lie_end_to_end_and_none_is_too_long(extra: int, start: int) -> None:
    clip = Clip(np.zeros(WINDOW + extra, dtype=np.float32), start)
    parts = list(split_windows(clip))
    assert all(len(part.samples) <= WINDOW for part in parts)
    assert parts[0].start == start
    assert [part.end for part in parts] == [*(part.start for part in parts[1:]), clip.end]


def test_a_window_ends_where_it_is_quietest() -> None:
    clip = tiny.babble(40)
    pause = slice(28 * 16_000, 28 * 16_000 + 4_800)
    clip.samples[pause] = 0
    first, _ = split_windows(clip)
    assert pause.start < first.end < pause.stop


def test_text_is_bounded_by_the_length_of_the_clip_and_by_the_decoder() -> None:
    assert token_limit(0, 400) == MIN_TOKEN_LIMIT
    assert token_limit(2, 400) == MIN_TOKEN_LIMIT + 26
    assert token_limit(30, 40) == 40


def test_requests_with_and_without_prompts_keep_their_order(folders: dict[str, Path]) -> None:
    recognizer = Seq2Seq.load(folders["whisper-en"], device="cpu", dtype="float32")
    prompts = [None, "the stream", None, "sound", "the clip of sound"]
    requests = [
        RecognitionRequest(tiny.babble(0.5, seed), TranscriptionOptions(prompt=prompt))
        for seed, prompt in enumerate(prompts)
    ]
    for request, together in zip(requests, recognizer.transcribe(requests), strict=True):
        families.assert_same(together, *recognizer.transcribe([request]))
