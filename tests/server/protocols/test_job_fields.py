"""Fields of a job, from a form or from JSON."""

import pytest

from asr.recognizer import MAX_PROMPT_CHARS
from diarization.clustering import SpeakerBounds
from jobs.job import JobPriority
from server.errors import ApiError
from server.protocols.job_fields import parse_job_fields


@pytest.mark.parametrize(
    "fields",
    [
        [("hotwords", "Ada, Grace")],
        [("hotwords", '["Ada", "Grace"]')],
        [("hotwords[]", "Ada"), ("hotwords[]", "Grace")],
        [("hotwords", "Ada"), ("hotwords", "Grace")],
        [("hotwords", ["Ada", "Grace"])],
    ],
)
def test_hotwords_are_read_in_every_spelling(fields: list[tuple[str, object]]) -> None:
    assert parse_job_fields(fields).options().asr.hotwords == ("Ada", "Grace")


@pytest.mark.parametrize(
    "fields",
    [
        [("redact", "pci, ssn")],
        [("redact", '["pci", "ssn"]')],
        [("redact[]", "pci"), ("redact[]", "ssn")],
        [("redact", ["pci", "ssn"])],
    ],
)
def test_redactions_are_read_in_every_spelling(fields: list[tuple[str, object]]) -> None:
    text = parse_job_fields([*fields, ("profanity_filter", "true")]).options().text
    assert (text.redact, text.profanity_filter) == (("pci", "ssn"), True)


def test_unknown_redaction_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        parse_job_fields([("redact", "pci,names")]).options()
    assert (refused.value.status, refused.value.param) == (400, "redact")
    assert "names" in str(refused.value)


def test_bounds_of_speakers_count_with_diarize() -> None:
    bounds = [("min_speakers", "2"), ("max_speakers", "4")]
    assert parse_job_fields([*bounds, ("diarize", "true")]).options().speakers == SpeakerBounds(2, 4)
    assert parse_job_fields([("diarize", "true")]).options().speakers == SpeakerBounds()
    assert parse_job_fields(bounds).options().speakers is None


@pytest.mark.parametrize("apart", [True, "true", "TRUE", "1"])
def test_channels_apart_need_no_search_for_speakers(apart: object) -> None:
    options = parse_job_fields([("multichannel", apart), ("diarize", "true")]).options()
    assert (options.multichannel, options.speakers) == (True, None)
    assert not parse_job_fields([("multichannel", "false")]).options().multichannel


@pytest.mark.parametrize("diarize", ["true", "false"])
@pytest.mark.parametrize(("least", "most"), [("3", "2"), ("0", "2"), ("1", "21")])
def test_bad_bounds_of_speakers_are_refused(least: str, most: str, diarize: str) -> None:
    fields = [("diarize", diarize), ("min_speakers", least), ("max_speakers", most)]
    with pytest.raises(ApiError) as refused:
        parse_job_fields(fields).options()
    assert refused.value.param in ("min_speakers", "max_speakers")


def test_empty_fields_count_as_not_sent() -> None:
    sent = parse_job_fields([("language", ""), ("start", None), ("priority", "")])
    assert sent == parse_job_fields([])
    assert sent.options().asr.words
    assert sent.priority is JobPriority.NORMAL


def test_options_are_those_of_the_fields() -> None:
    fields = [
        ("language", "Vietnamese"),
        ("words", "false"),
        ("task", "translate"),
        ("end", "9.5"),
        ("track", "1"),
    ]
    options = parse_job_fields([*fields, ("prompt", "x" * (MAX_PROMPT_CHARS + 5))]).options()
    assert (options.asr.language, options.asr.words, options.asr.task) == ("vi", False, "translate")
    assert (options.start, options.end, options.track) == (None, 9.5, 1)
    assert options.asr.prompt == "x" * MAX_PROMPT_CHARS
    assert parse_job_fields([("language", "auto")]).options().asr.language is None


@pytest.mark.parametrize("again", ["language", "language[]"])
def test_field_that_comes_twice_is_refused(again: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_job_fields([("language", "en"), (again, "de")])
    assert (refused.value.status, refused.value.param) == (400, "language")
    assert parse_job_fields([("language", ""), (again, "de")]).language == "de"


@pytest.mark.parametrize("name", ["temperature", "track", "start", "end", "min_speakers", "max_speakers"])
@pytest.mark.parametrize("value", [True, "1"])
def test_json_needs_numbers_as_numbers(name: str, value: object) -> None:
    with pytest.raises(ApiError) as refused:
        parse_job_fields([(name, value)], is_json=True)
    assert (refused.value.status, refused.value.param) == (400, name)
    assert str(refused.value) == f"Invalid '{name}': it must be a number."
    for number in (1, 1.0):
        assert getattr(parse_job_fields([(name, number)], is_json=True), name) == 1
    assert getattr(parse_job_fields([(name, "1")]), name) == 1


@pytest.mark.parametrize("name", ["hotwords", "redact", "url", "model", "metadata", "words", "start"])
def test_field_of_a_wrong_type_is_named(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_job_fields([(name, {"a": 1})])
    assert (refused.value.status, str(refused.value.param).split(".")[0]) == (400, name)
