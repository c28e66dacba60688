"""RealtimeSession: both shapes of settings, merged, in force, and told back."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import samples_from_ms
from audio.codecs import Encoding, Format
from server.errors import ClientError
from server.protocols.openai_realtime.session_config import LOGPROBS, RealtimeConfig
from streaming.endpointing import AdaptiveSilence, FixedSilence, ModelSilence
from streaming.options import SessionOptions
from vad.options import VadOptions

PLAIN = RealtimeConfig(SessionOptions(vad=VadOptions(silence_ms=250)), id="sess_1")
BETA = replace(PLAIN, beta=True)


def ga(**parts: Any) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": parts}}


def told(session: RealtimeConfig) -> dict[str, Any]:
    """`audio.input` of what is told back."""
    effective: Any = session.effective()
    inner: dict[str, Any] = effective["audio"]["input"]
    return inner


def refusal(session: RealtimeConfig, asked: dict[str, Any]) -> ClientError:
    with pytest.raises(ClientError) as refused:
        session.merged(asked)
    return refused.value


def test_what_was_never_said_is_as_openai_has_it_with_the_servers_own_silence() -> None:
    assert PLAIN.effective() == {
        "type": "transcription",
        "id": "sess_1",
        "object": "realtime.transcription_session",
        "expires_at": 0,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 250,
                },
            }
        },
    }


def test_whole_floats_and_capitals_are_accepted() -> None:
    capitals = ga(format={"type": "Audio/PCM", "rate": 22_050.0}, turn_detection={"type": "Server_VAD"})
    assert PLAIN.merged(capitals).encoding == Encoding(Format.PCM16, 22_050)
    assert told(PLAIN.merged(capitals))["turn_detection"]["type"] == "server_vad"
    assert BETA.merged({"input_audio_format": "G711_ULAW"}).encoding.format == Format.PCMU
    eager = PLAIN.merged(ga(turn_detection={"type": "SEMANTIC_VAD", "eagerness": "High"}))
    assert told(eager)["turn_detection"]["eagerness"] == "high"


def test_a_refused_update_leaves_the_format() -> None:
    session = PLAIN.merged(ga(format={"type": "audio/pcm", "rate": 16_000}))
    fault = ga(format={"type": "audio/pcmu"}, transcription={"language": "klingon"})
    assert refusal(session, fault).param == "session.audio.input.transcription.language"
    assert session.encoding == Encoding(Format.PCM16, 16_000)


def test_several_languages_restrict_the_detection() -> None:
    session = PLAIN.merged(ga(transcription={"languages": ["German", "en-US"]}))
    assert (session.options.asr.language, session.options.asr.languages) == (None, ("de", "en"))
    one = PLAIN.merged(ga(transcription={"languages": ["de"]}))
    assert (one.options.asr.language, one.options.asr.languages) == ("de", ())


def test_every_knob_of_server_vad_is_in_force() -> None:
    knobs = {"threshold": 0.3, "prefix_padding_ms": 600, "silence_duration_ms": 350, "idle_timeout_ms": 6_000}
    session = PLAIN.merged(ga(turn_detection={"type": "server_vad", "create_response": False, **knobs}))
    vad = session.options.vad
    assert (vad.threshold, vad.prefix_ms, vad.silence_ms, vad.manual) == (0.3, 600, 350, False)
    assert session.idle_timeout == samples_from_ms(6_000)
    assert session.options.turn == FixedSilence()
    assert told(session)["turn_detection"] == {"type": "server_vad", "create_response": False, **knobs}


def test_more_than_the_detector_takes_becomes_the_most_that_it_takes() -> None:
    session = PLAIN.merged(ga(turn_detection={"silence_duration_ms": 60_000, "prefix_padding_ms": 5_000}))
    assert told(session)["turn_detection"]["silence_duration_ms"] == 10_000
    assert told(session)["turn_detection"]["prefix_padding_ms"] == 2_000


@pytest.mark.parametrize(
    ("eagerness", "ms"), [("low", 8_000), ("medium", 4_000), ("high", 2_000), (None, 4_000)]
)
def test_eagerness_is_how_long_semantic_vad_waits_at_most(eagerness: str | None, ms: int) -> None:
    session = PLAIN.merged(ga(turn_detection={"type": "semantic_vad", "eagerness": eagerness}))
    assert session.options.turn == AdaptiveSilence(longest=samples_from_ms(ms))
    assert told(session)["turn_detection"] == {"type": "semantic_vad", "eagerness": eagerness or "auto"}


def test_semantic_vad_uses_the_turn_model_of_the_server() -> None:
    defaults = SessionOptions(turn=ModelSilence(shortest=3_000))
    session = replace(PLAIN, defaults=defaults).merged(ga(turn_detection={"type": "semantic_vad"}))
    assert session.options.turn == ModelSilence(3_000, samples_from_ms(4_000))


def test_null_turn_detection_leaves_it_to_the_client() -> None:
    session = PLAIN.merged(ga(turn_detection=None))
    assert session.options.vad.manual
    assert session.options.vad.max_manual_ms == 30_000
    assert told(session)["turn_detection"] is None
    again = session.merged(ga(turn_detection={"type": "server_vad"}))
    assert not again.options.vad.manual


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe-2027-01-01"])
def test_a_live_model_writes_at_once_and_leaves_turns_to_the_client_unless_told_otherwise(model: str) -> None:
    session = PLAIN.merged(ga(transcription={"model": model}))
    assert session.live
    assert session.options.partials
    assert session.options.vad.manual
    both = PLAIN.merged(ga(transcription={"model": model}, turn_detection={"type": "server_vad"}))
    assert both.live
    assert not both.options.vad.manual


def test_other_models_write_after_the_commit_unless_the_server_wants_all_live() -> None:
    session = PLAIN.merged(ga(transcription={"model": "gpt-4o-transcribe"}))
    assert not session.live
    assert not session.options.partials
    assert replace(session, always_live=True).options.partials


def test_hints_reach_the_recognizer() -> None:
    said = {"model": "whisper-1", "language": "en-US", "prompt": "Hello.", "keywords": ["Ada", "Grace"]}
    asr = PLAIN.merged(ga(transcription=said)).options.asr
    assert (asr.language, asr.prompt, asr.hotwords, asr.words) == ("en", "Hello.", ("Ada", "Grace"), False)


@pytest.mark.parametrize(
    ("languages", "language"), [(["de"], "de"), (["de", "en"], None), ([], None), ([""], None)]
)
def test_one_language_of_a_list_is_the_language(languages: list[str], language: str | None) -> None:
    assert PLAIN.merged(ga(transcription={"languages": languages})).options.asr.language == language


@pytest.mark.parametrize(
    ("form", "encoding"),
    [
        ({"type": "audio/pcm"}, Encoding(Format.PCM16, 24_000)),
        ({"type": "audio/pcm", "rate": 8_000}, Encoding(Format.PCM16, 8_000)),
        ({"type": "audio/pcm", "rate": 48_000}, Encoding(Format.PCM16, 48_000)),
        ({"type": "audio/pcmu"}, Encoding(Format.PCMU, 8_000)),
        ({"type": "audio/pcma"}, Encoding(Format.PCMA, 8_000)),
    ],
)
def test_formats(form: dict[str, Any], encoding: Encoding) -> None:
    assert PLAIN.merged(ga(format=form)).encoding == encoding


def test_absent_keeps_and_null_takes_away() -> None:
    first = PLAIN.merged(
        ga(
            transcription={"model": "m", "language": "en"},
            noise_reduction={"type": "far_field", "strength": 0.5},
            turn_detection={"type": "server_vad", "threshold": 0.3},
        )
        | {"include": [LOGPROBS, "what.is.not.there"]}
    )
    assert first.options.asr.words
    second = first.merged(ga(transcription={"prompt": "p"}, noise_reduction={"type": "near_field"}))
    assert told(second)["transcription"] == {"model": "m", "language": "en", "prompt": "p"}
    assert told(second)["noise_reduction"] == {"type": "near_field", "strength": 0.5}
    assert told(second)["turn_detection"]["threshold"] == 0.3
    assert second.effective()["include"] == [LOGPROBS]
    gone = {"language": None}
    third = second.merged(ga(transcription=gone, noise_reduction=None) | {"include": None})
    assert told(third)["transcription"]["language"] is None
    assert told(third)["noise_reduction"] is None
    assert third.effective()["include"] is None


def test_another_kind_of_turn_detection_takes_nothing_over() -> None:
    first = PLAIN.merged(ga(turn_detection={"type": "server_vad", "threshold": 0.3}))
    second = first.merged(ga(turn_detection={"type": "semantic_vad"}))
    third = second.merged(ga(turn_detection={"type": "server_vad"}))
    assert third.options.vad.threshold == 0.5


def test_a_flat_session_says_the_same_in_other_words() -> None:
    flat = {
        "input_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "en"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {"silence_duration_ms": 400},
        "modalities": ["text"],
    }
    session = BETA.merged(flat)
    assert session.encoding == Encoding(Format.PCMU, 8_000)
    assert session.options.asr.language == "en"
    assert session.effective() == {
        "id": "sess_1",
        "object": "realtime.transcription_session",
        "expires_at": 0,
        "include": None,
        "modalities": ["text"],
        "input_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": None},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 400,
        },
        "client_secret": None,
    }
    assert PLAIN.merged(flat).options == session.options


def test_both_shapes_may_stand_in_one_message() -> None:
    session = PLAIN.merged({**ga(format={"rate": 16_000}), "turn_detection": None})
    assert session.encoding.sample_rate == 16_000
    assert session.options.vad.manual


def test_a_session_that_is_no_transcription_by_name_is_told_so_and_its_tools_are_not_there() -> None:
    session = PLAIN.merged({"type": "realtime", "model": "gpt-realtime", "tools": [], "instructions": "x"})
    effective: Any = session.effective()
    assert (effective["type"], effective["object"]) == ("realtime", "realtime.session")
    assert effective["model"] == "gpt-realtime"
    assert not {"tools", "instructions"} & effective.keys()


@pytest.mark.parametrize(
    ("session", "asked", "param"),
    [
        (PLAIN, ga(turn_detection={"threshold": 2}), "session.audio.input.turn_detection.threshold"),
        (PLAIN, ga(turn_detection={"type": "mind_reading"}), "session.audio.input.turn_detection"),
        (
            PLAIN,
            ga(turn_detection={"idle_timeout_ms": 10}),
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (PLAIN, ga(format={"rate": 7_999}), "session.audio.input.format.rate"),
        (PLAIN, ga(transcription={"language": "klingon"}), "session.audio.input.transcription.language"),
        (PLAIN, ga(transcription={"keywords": ["x" * 101]}), "session.audio.input.transcription.keywords"),
        (PLAIN, {"audio": []}, "session.audio"),
        (PLAIN, {"type": "translation"}, "session.type"),
        (BETA, {"input_audio_format": "mp3"}, "session.input_audio_format.type"),
        (BETA, {"turn_detection": {"threshold": "loud"}}, "session.turn_detection.threshold"),
        (BETA, {"input_audio_transcription": 5}, "session.input_audio_transcription"),
    ],
)
def test_a_bad_value_is_named_in_the_clients_own_shape(
    session: RealtimeConfig, asked: dict[str, Any], param: str
) -> None:
    error = refusal(session, asked)
    assert (error.code, error.param) == ("invalid_value", param)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["input", "format", "transcription", "turn_detection", "type", "rate", "threshold"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
NAMES = ["audio", "type", "include", "turn_detection", "input_audio_format", "input_audio_transcription", "x"]


@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=4), st.booleans())
def test_any_session_at_all_is_taken_or_refused_and_told_back_as_json(
    asked: dict[str, Any], beta: bool
) -> None:
    session = replace(PLAIN, beta=beta)
    with suppress(ClientError):
        session = session.merged(asked)
    json.dumps(session.effective(), allow_nan=False)
    assert session.merged({}).effective() == session.effective()
