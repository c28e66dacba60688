"""Test how the URL of Deepgram's API is parsed."""

from urllib.parse import parse_qsl

import pytest

from asr.recognizer import MAX_HOTWORD_CHARS, MAX_HOTWORDS
from audio.codecs import Encoding, Format
from engine.file_transcriber import TimeRange
from postprocessing.options import TextOptions
from server.errors import ClientError
from server.protocols.deepgram.options import DeepgramOptions, parse_options
from streaming.options import SessionOptions
from vad.options import VadOptions

DEFAULTS = SessionOptions(vad=VadOptions(threshold=0.4, silence_ms=400))


def asked(query: str) -> DeepgramOptions:
    return parse_options(parse_qsl(query, keep_blank_values=True), DEFAULTS)


def test_an_empty_query_has_the_defaults_of_the_server() -> None:
    plain = asked("")
    assert plain.session.vad == DEFAULTS.vad
    assert plain.encoding is None
    assert (plain.interim, plain.vad_events, plain.formatted, plain.utterance_end) == (False,) * 3 + (None,)
    assert plain.endpoints


@pytest.mark.parametrize(
    ("query", "encoding"),
    [
        ("encoding=linear16&sample_rate=8000", Encoding(Format.PCM16, 8_000)),
        ("encoding=linear32&sample_rate=48000&channels=2", Encoding(Format.FLOAT32, 48_000, 2)),
        ("encoding=mulaw", Encoding(Format.PCMU, 8_000)),
        ("encoding=alaw&sample_rate=16000", Encoding(Format.PCMA, 16_000)),
        ("sample_rate=8000", None),
        ("encoding=opus&sample_rate=48000", None),
    ],
)
def test_an_encoding_of_raw_samples_is_parsed(query: str, encoding: Encoding | None) -> None:
    assert asked(query).encoding == encoding


def test_another_encoding_keeps_its_name() -> None:
    assert asked("encoding=opus").unsupported_encoding == "opus"
    assert asked("encoding=linear16&sample_rate=8000").unsupported_encoding is None


@pytest.mark.parametrize(
    ("endpointing", "silence_ms", "endpoints"),
    [
        ("10", 400, True),
        ("700", 700, True),
        ("50000", 10_000, True),
        ("false", 400, False),
        ("true", 400, True),
    ],
)
def test_endpointing_has_a_minimum(endpointing: str, silence_ms: int, endpoints: bool) -> None:
    found = asked(f"endpointing={endpointing}")
    assert found.session.vad == VadOptions(threshold=0.4, silence_ms=silence_ms)
    assert found.endpoints is endpoints


@pytest.mark.parametrize(("wait", "samples"), [("1000", 16_000), ("false", None), ("", None)])
def test_utterance_end_is_converted_to_samples(wait: str, samples: int | None) -> None:
    assert asked(f"utterance_end_ms={wait}").utterance_end == samples


def test_interim_results_request_partials() -> None:
    assert asked("interim_results=true").session.partials
    assert not asked("interim_results=false").session.partials


def test_keyterms_and_keywords_become_hotwords() -> None:
    query = "keyterm=New+York&keyterm=Ada&keywords=Ada:2.5&keywords=Bob:-3&keywords=Cy&keyterm="
    assert asked(query).session.asr.hotwords == ("New York", "Ada", "Cy")


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("language=en-US", "en"),
        ("language=pt-BR", "pt"),
        ("language=multi", None),
        ("language=de&detect_language=true", None),
        ("language=de&detect_language=false", "de"),
        ("language=de&detect_language=en&detect_language=fr", None),
    ],
)
def test_a_language_may_have_a_region_or_be_left_to_the_model(query: str, language: str | None) -> None:
    assert asked(query).session.asr.language == language


@pytest.mark.parametrize(
    ("query", "languages", "detects"),
    [
        ("detect_language=en&detect_language=German", ("en", "de"), True),
        ("detect_language=true", (), True),
        ("detect_language=TRUE&detect_language=fr", ("fr",), True),
        ("detect_language=false", (), False),
        ("detect_language=", (), False),
        ("", (), False),
    ],
)
def test_detect_language_may_name_languages(query: str, languages: tuple[str, ...], detects: bool) -> None:
    found = asked(query)
    assert (found.session.asr.languages, found.detects_language) == (languages, detects)


def test_capitals_spaces_and_whole_floats_are_accepted() -> None:
    query = "encoding=Linear16&sample_rate=16000.0&interim_results=TRUE&endpointing=700.0&model=+nova-3+"
    plain = "encoding=linear16&sample_rate=16000&interim_results=true&endpointing=700&model=nova-3"
    assert asked(query) == asked(plain)


@pytest.mark.parametrize("name", ["punctuate", "smart_format", "dictation", "paragraphs"])
def test_formatting_is_on_request(name: str) -> None:
    assert asked(f"{name}=true").formatted
    assert not asked(f"{name}=false").formatted


def test_text_options_are_parsed() -> None:
    query = "redact=pci&redact=ssn,true&profanity_filter=true&replace=new%20york:NYC&replace=um&numerals=true"
    assert asked(query).session.text == TextOptions(
        True, (("new york", "NYC"), ("um", "")), True, ("pci", "ssn", "numbers")
    )
    assert asked("redact=false").session.text == TextOptions()
    assert asked("smart_format=true").session.text == TextOptions(numerals=True)


def test_part_and_summary_of_a_file_are_parsed() -> None:
    assert asked("start=1.5&end=2").within == TimeRange(1.5, 2)
    assert [asked(f"summarize={value}").summarized for value in ("v2", "true", "false")] == [
        True,
        True,
        False,
    ]


def test_unknown_names_are_ignored() -> None:
    assert asked("callback=http://x&extra=a:b&measurements=true&mip_opt_out=true&no_delay=true") == asked("")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("encoding=linear16", "sample_rate"),
        ("encoding=linear16&sample_rate=100", "sample_rate"),
        ("encoding=linear16&sample_rate=fast", "sample_rate"),
        ("encoding=mulaw&channels=99", "channels"),
        ("redact=pii", "redact"),
        ("replace=:x", "replace"),
        (f"replace={'x' * 101}", "replace"),
        ("summarize=v9", "summarize"),
        ("start=-1", "start"),
        ("start=2&end=1", "end"),
        ("language=klingonese", "language"),
        ("detect_language=klingonese", "detect_language"),
        ("endpointing=-1", "endpointing"),
        ("endpointing=soon", "endpointing"),
        ("utterance_end_ms=60001", "utterance_end_ms"),
        ("interim_results=perhaps", "interim_results"),
        ("utt_split=nan", "utt_split"),
        (f"keyterm={'x' * (MAX_HOTWORD_CHARS + 1)}", "keyterm"),
        ("&".join(f"keyterm={n}" for n in range(MAX_HOTWORDS + 1)), "keyterm"),
    ],
)
def test_a_bad_value_names_the_parameter(query: str, param: str) -> None:
    with pytest.raises(ClientError) as caught:
        asked(query)
    assert (caught.value.code, caught.value.param) == ("invalid_value", param)
    assert caught.value.close is not None
