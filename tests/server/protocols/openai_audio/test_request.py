"""Test how the fields of a request are parsed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import MAX_PROMPT_CHARS
from diarization.clustering import SpeakerBounds
from engine.file_transcriber import TimeRange
from postprocessing.options import TextOptions
from server.errors import ApiError
from server.protocols.file_fields import merge_fields
from server.protocols.openai_audio.request import (
    SpeakerFields,
    TranscriptionFields,
    TranscriptionRequest,
    parse_transcription,
    parse_translation,
)
from streaming.options import SessionOptions
from vad.options import VadOptions

DEFAULTS = SessionOptions(vad=VadOptions(threshold=0.4))


def asked(*fields: tuple[str, object], **more: object) -> TranscriptionRequest:
    return parse_transcription([("model", "whisper-1"), *fields, *more.items()], DEFAULTS)


def test_only_the_model_is_required() -> None:
    session = DEFAULTS.for_file()
    assert asked() == TranscriptionRequest("whisper-1", session, "json", False, False, True, False)


def test_every_field_is_parsed() -> None:
    full = asked(
        ("language", "de"),
        ("keywords[]", "Kurfürstendamm"),
        ("keywords[]", " "),
        ("prompt", "before"),
        ("temperature", "0.5"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("include[]", "logprobs"),
        ("stream", "true"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[silence_duration_ms]", "700"),
        ("chunking_strategy[prefix_padding_ms]", "100"),
    )
    asr, vad = full.session.asr, full.session.vad
    assert (asr.language, asr.hotwords, asr.prompt, asr.temperature, asr.words, asr.task) == (
        *("de", ("Kurfürstendamm",), "before", 0.5, True, "transcribe"),
    )
    assert (vad.threshold, vad.silence_ms, vad.prefix_ms) == (0.4, 700, 100)
    assert (full.format, full.stream, full.words, full.segments, full.logprobs) == (
        *("verbose_json", True, True, False, True),
    )


def test_a_strategy_may_be_json_an_object_or_auto() -> None:
    text = '{"type": "server_vad", "threshold": 0.7}'
    assert asked(chunking_strategy=text).session.vad.threshold == 0.7
    assert asked(chunking_strategy={"type": "server_vad", "threshold": 0.7}).session.vad.threshold == 0.7
    assert asked(chunking_strategy=text).session.vad.pause_ms == 0
    assert asked(chunking_strategy="auto").session == DEFAULTS.for_file()


@given(st.permutations([("include", "logprobs"), ("keywords", "a"), ("keywords", "b"), ("prompt", "p")]))
def test_lists_are_parsed_with_and_without_brackets(fields: list[tuple[str, str]]) -> None:
    bracketed = [(f"{name}[]" if name != "prompt" else name, value) for name, value in fields]
    assert merge_fields(TranscriptionFields, bracketed) == merge_fields(TranscriptionFields, fields)
    keywords = [value for name, value in fields if name == "keywords"]
    merged = {"include": ["logprobs"], "keywords": keywords, "prompt": "p"}
    assert merge_fields(TranscriptionFields, fields) == merged


@pytest.mark.parametrize(
    "text", ['["word", "segment"]', "word,segment", " Word , SEGMENT,", '["WORD","segment"]']
)
def test_a_list_may_be_one_text(text: str) -> None:
    request = asked(timestamp_granularities=text)
    assert (request.words, request.segments) == (True, True)
    assert asked(languages='["fr"]').session.asr.language == "fr"
    assert asked(keywords="a, b c").session.asr.hotwords == ("a", "b c")


def test_a_keyword_in_brackets_may_have_a_comma() -> None:
    assert asked(("keywords[]", "Smith, John"), ("keywords[]", "b")).session.asr.hotwords == (
        "Smith, John",
        "b",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": " JSON "},
        {"include": "LogProbs"},
        {"stream": " True "},
        {"chunking_strategy": "Auto"},
        {"chunking_strategy": {"type": "Server_VAD"}},
    ],
)
def test_case_and_spaces_of_a_value_do_not_matter(fields: dict[str, Any]) -> None:
    lowered = {
        name: value.strip().lower() if isinstance(value, str) else {"type": "server_vad"}
        for name, value in fields.items()
    }
    assert asked(**fields) == asked(**lowered)


def test_whole_numbers_may_be_floats() -> None:
    asked_for = asked(chunking_strategy={"type": "server_vad", "prefix_padding_ms": 250.0})
    assert asked_for.session.vad.prefix_ms == 250
    assert asked(
        ("chunking_strategy[type]", "server_vad"), ("chunking_strategy[prefix_padding_ms]", "250.0")
    ) == (asked_for)


def test_an_error_names_the_accepted_values() -> None:
    with pytest.raises(ApiError) as refused:
        asked(response_format="xml")
    accepted = "'json', 'text', 'srt', 'verbose_json', 'vtt', 'ass', 'md', 'docx' or 'diarized_json'"
    assert accepted in refused.value.message


def test_text_options_part_and_summary_are_parsed() -> None:
    request = asked(redact="pci, ssn", profanity_filter="true", summarize="True", start="1.5", end="3")
    assert request.session.text == TextOptions(profanity_filter=True, redact=("pci", "ssn"))
    assert request.within == TimeRange(1.5, 3)
    assert request.summarize


def test_a_list_in_json_is_a_list() -> None:
    assert asked(keywords=["a", "b"]).session.asr.hotwords == ("a", "b")


def test_empty_and_unknown_fields_are_ignored() -> None:
    assert asked(prompt="", language="", temperature=None, vad_filter="true", response_format="") == asked()


@pytest.mark.parametrize(
    ("fields", "language"),
    [
        ({"language": "pt-BR"}, "pt"),
        ({"language": "german"}, "de"),
        ({"language": "auto"}, None),
        ({"language": " Fil "}, "tl"),
        ({"languages": ["fr"]}, "fr"),
        ({"languages": ["fr", "en"]}, None),
        ({"language": "en", "languages": ["fr"]}, "en"),
    ],
)
def test_several_languages_are_detected_by_the_model(fields: dict[str, Any], language: str | None) -> None:
    asr = asked(**fields).session.asr
    assert (asr.language, asr.languages) == (
        language,
        ("fr", "en") if fields == {"languages": ["fr", "en"]} else (),
    )


def test_a_long_prompt_keeps_its_end() -> None:
    assert asked(prompt="x" + "y" * MAX_PROMPT_CHARS).session.asr.prompt == "y" * MAX_PROMPT_CHARS


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_request_the_times_of_words(form: str) -> None:
    assert asked(response_format=form).session.asr.words
    assert not asked(response_format=form).words


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": ""}, "model", "missing_required_parameter"),
        ({"model": "x" * 257}, "model", "invalid_value"),
        ({"response_format": "pdf"}, "response_format", "invalid_value"),
        ({"redact": ["names"]}, "redact", "invalid_value"),
        ({"summarize": "perhaps"}, "summarize", "invalid_value"),
        ({"summarize": "true", "response_format": "srt"}, "summarize", "unsupported_value"),
        ({"chapters": "true"}, "chapters", "unsupported_value"),
        ({"start": "nan"}, "start", "invalid_value"),
        ({"language": "xx"}, "language", "invalid_language_format"),
        ({"languages": ["en", "xx"]}, "languages", "invalid_language_format"),
        ({"temperature": "-0.1"}, "temperature", "invalid_value"),
        ({"temperature": "2"}, "temperature", "invalid_value"),
        ({"temperature": "nan"}, "temperature", "invalid_value"),
        ({"temperature": "warm"}, "temperature", "invalid_value"),
        ({"timestamp_granularities": ["letter"]}, "timestamp_granularities", "invalid_value"),
        ({"include": ["tea"]}, "include", "invalid_value"),
        ({"stream": "perhaps"}, "stream", "invalid_value"),
        ({"keywords": ["x" * 101]}, "keywords", "invalid_value"),
        ({"keywords": ["x"] * 1001}, "keywords", "invalid_value"),
        ({"chunking_strategy": "fast"}, "chunking_strategy", "invalid_value"),
        ({"chunking_strategy": "{"}, "chunking_strategy", "invalid_value"),
        ({"chunking_strategy": {"threshold": 0.5}}, "chunking_strategy", "invalid_value"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, "chunking_strategy", "invalid_value"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_value"),
    ],
)
def test_a_bad_value_names_the_parameter(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_transcription(({"model": "m"} | fields).items(), DEFAULTS)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)
    assert param in refused.value.message or code == "invalid_language_format"


def test_a_translation_is_into_english() -> None:
    full = parse_translation([("model", "m"), ("prompt", "p"), ("response_format", "srt")], DEFAULTS)
    assert (full.task, full.session.asr.prompt, full.format, full.stream) == ("translate", "p", "srt", False)


def test_a_translation_cannot_be_diarized() -> None:
    with pytest.raises(ApiError, match="response_format"):
        parse_translation([("model", "m"), ("response_format", "diarized_json")], DEFAULTS)


CLIP = "data:audio/wav;base64,AAAA"


def test_speakers_are_distinguished_for_diarized_json() -> None:
    assert asked().speakers is None
    assert asked(response_format="verbose_json").speakers is None
    assert asked(response_format="diarized_json", diarize="false").speakers is None
    usual = asked(response_format="diarized_json")
    assert usual.speakers == SpeakerFields(SpeakerBounds())
    assert usual.session.asr.words
    model = parse_transcription([("model", "gpt-4o-transcribe-diarize")], DEFAULTS)
    assert model.speakers == SpeakerFields(SpeakerBounds())
    explicit = asked(diarize="true", response_format="srt", min_speakers="2", max_speakers="3").speakers
    assert explicit == SpeakerFields(SpeakerBounds(2, 3), required=True)


@pytest.mark.parametrize("brackets", ["", "[]"])
def test_known_speakers_have_names_and_clips(brackets: str) -> None:
    fields = [("Ann, my aunt", CLIP), ("Bob", CLIP)]
    names = [(f"known_speaker_names{brackets}", name) for name, _ in fields]
    clips = [(f"known_speaker_references{brackets}", clip) for _, clip in fields]
    assert asked(*names, *clips).speakers == SpeakerFields(SpeakerBounds(), tuple(fields), required=True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ([("known_speaker_names", "Ann")], "known_speaker_references"),
        ([("known_speaker_references", CLIP)], "known_speaker_references"),
        ([("known_speaker_names", "A"), ("known_speaker_references", CLIP)] * 2, "known_speaker_names"),
        (
            [("known_speaker_names", f"s{n}") for n in range(9)] + [("known_speaker_references", CLIP)] * 9,
            "known_speaker_names",
        ),
        ([("known_speaker_names", "x" * 101), ("known_speaker_references", CLIP)], "known_speaker_names"),
        ([("diarize", "true"), ("min_speakers", "3"), ("max_speakers", "2")], "max_speakers"),
        ([("min_speakers", "5"), ("max_speakers", "2")], "max_speakers"),
        ([("diarize", "false"), ("min_speakers", "5"), ("max_speakers", "2")], "max_speakers"),
        ([("max_speakers", "0")], "max_speakers"),
        ([("diarize", "perhaps")], "diarize"),
    ],
)
def test_contradicting_fields_of_speakers_are_refused(fields: list[tuple[str, object]], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        asked(*fields)
    assert (refused.value.status, refused.value.param) == (400, param)
