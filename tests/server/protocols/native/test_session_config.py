"""Test what a `session` object changes, and that an invalid one changes nothing."""

from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import MAX_HOTWORD_CHARS, MAX_HOTWORDS, MAX_PROMPT_CHARS
from audio.codecs import Format
from diarization.known_speakers import MAX_KNOWN
from postprocessing.options import REDACTIONS
from server.errors import ClientError
from server.protocols.native.session_config import (
    MAX_ENDPOINTING_MS,
    MAX_NAME_CHARS,
    MIN_ENDPOINTING_MS,
    OPTIONAL_EVENTS,
    SessionConfig,
    SessionUpdate,
    VadUpdate,
)
from streaming.options import SessionOptions
from tests.examples import examples
from vad.options import RANGES

DEFAULT = SessionConfig(SessionOptions())

numbers = st.integers() | st.floats()
json = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
good_vad: dict[str, st.SearchStrategy[Any]] = {
    "threshold": st.floats(*RANGES["threshold"]) | st.integers(0, 1) | st.none(),
    **{
        name: st.integers(int(low), int(high)) | st.none()
        for name, (low, high) in RANGES.items()
        if name != "threshold"
    },
}
good_turn: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from(["fixed", "adaptive", "manual", None]),
    "shortest_ms": st.integers(MIN_ENDPOINTING_MS, 1_000) | st.none(),
    "longest_ms": st.integers(1_000, MAX_ENDPOINTING_MS) | st.none(),
}
good: dict[str, st.SearchStrategy[Any]] = {
    "language": st.sampled_from(["en", "de-AT", "yue", "auto", None]),
    "languages": st.lists(st.sampled_from(["en", "de-AT", "fil", "Korean"]), max_size=3),
    "prompt": st.none() | st.text(max_size=MAX_PROMPT_CHARS),
    "events": st.just("all") | st.lists(st.sampled_from([*OPTIONAL_EVENTS, "unknown"])),
    "hotwords": st.lists(st.text(max_size=MAX_HOTWORD_CHARS), max_size=5),
    "redact": st.lists(st.sampled_from(REDACTIONS), max_size=3),
    "profanity_filter": st.booleans(),
    "task": st.sampled_from(["transcribe", "translate"]),
    "temperature": st.floats(0, 1) | st.integers(0, 1),
    "turn": st.fixed_dictionaries({}, optional=good_turn | {"unknown": json}),
    "include_audio": st.booleans(),
    "words": st.booleans(),
    "diarize": st.booleans(),
    "known_speakers": st.lists(
        st.fixed_dictionaries({"name": st.sampled_from(["Ann", "Bob"]), "audio": st.just("AAAA")}), max_size=2
    ),
    "vad": st.fixed_dictionaries({}, optional=good_vad | {"unknown": json}),
    "format": st.sampled_from([form.value for form in Format]),
    "sample_rate": st.integers(8_000, 192_000),
    "channels": st.integers(1, 8),
}
good_sessions = st.fixed_dictionaries({}, optional=good | {"unknown": json})
names = st.sampled_from(sorted(good)) | st.text()
vads = st.dictionaries(st.sampled_from(sorted(good_vad)), json)
odd_sessions = st.dictionaries(names, json | vads | st.sampled_from(["en", "all", 16000, 1, "pcm16"]))


def effective(config: SessionConfig) -> dict[str, Any]:
    """Return the configuration as a client reads it."""
    return cast(dict[str, Any], orjson.loads(orjson.dumps(config.effective())))


@examples(60)
@given(before=good_sessions, session=odd_sessions)
def test_session_object_is_merged_or_refused_as_a_whole(before: Any, session: Any) -> None:
    config = DEFAULT.merged(before)
    told = effective(config)
    refused: ClientError | None = None
    try:
        merged = config.merged(session)
    except ClientError as error:
        refused = error
    else:
        assert effective(merged).keys() == told.keys()
    assert effective(config) == told
    if refused is not None:
        assert refused.code in ("invalid_value", "unsupported_sample_rate")
        assert refused.param is not None
        assert refused.param.split(".")[:2] in (["session", name] for name in good)
        assert len(refused.message) < 300


@examples(50)
@given(session=good_sessions)
def test_repeating_the_configuration_changes_nothing(session: Any) -> None:
    merged = DEFAULT.merged(session)
    assert merged.merged(effective(merged)) == merged
    assert merged.merged({}) == merged


@examples(50)
@given(session=good_sessions)
def test_requested_configuration_is_in_force(session: Any) -> None:
    told = effective(DEFAULT.merged(session))
    for name in session.keys() & {
        "prompt",
        "hotwords",
        "redact",
        "profanity_filter",
        "task",
        "temperature",
        "include_audio",
        "words",
        "format",
        "sample_rate",
        "channels",
    }:
        assert told[name] == session[name]
    for name, value in session.get("vad", {}).items():
        if name != "unknown" and value is not None:
            assert told["vad"][name] == value


@examples(30)
@given(session=good_sessions, other=good_sessions)
def test_absent_fields_are_unchanged(session: Any, other: Any) -> None:
    config = DEFAULT.merged(session)
    before, after = effective(config), effective(config.merged(other))
    for name in before.keys() - other.keys():
        assert after[name] == before[name]


@examples(30)
@given(session=good_sessions, unknown=st.dictionaries(st.text(), json))
def test_unknown_keys_are_ignored(session: Any, unknown: Any) -> None:
    strange = {name: value for name, value in unknown.items() if name not in good}
    assert DEFAULT.merged(strange | session) == DEFAULT.merged(session)


def test_null_resets_language_and_prompt() -> None:
    both = DEFAULT.merged({"language": "en", "prompt": "names"})
    assert effective(both.merged({"language": None}))["language"] is None
    assert effective(both.merged({"language": None}))["prompt"] == "names"
    assert both.merged({"language": None, "prompt": None}) == DEFAULT


@pytest.mark.parametrize("auto", ["auto", "AUTO"])
def test_auto_is_no_language(auto: str) -> None:
    assert DEFAULT.merged({"language": "en"}).merged({"language": auto}) == DEFAULT


@pytest.mark.parametrize(
    ("given", "language"), [("pt-BR", "pt"), ("fil", "tl"), ("EN", "en"), ("german", "de")]
)
def test_a_language_may_have_a_region(given: str, language: str) -> None:
    assert effective(DEFAULT.merged({"language": given}))["language"] == language


def test_languages_are_codes_each_once() -> None:
    config = DEFAULT.merged({"languages": ["German", "en-US", "de"]})
    assert config.options.asr.languages == ("de", "en")
    assert effective(config)["languages"] == ["de", "en"]
    assert config.merged({"languages": []}) == DEFAULT


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(ClientError, match="klingon"):
        DEFAULT.merged({"languages": ["en", "klingon"]})


def test_whole_floats_and_capitals_are_accepted() -> None:
    session = {
        "task": "Translate",
        "turn": {"mode": " Adaptive ", "longest_ms": 900.0},
        "vad": {"silence_ms": 250.0},
        "format": "PCMU",
        "sample_rate": 22_050.0,
        "channels": 2.0,
    }
    told = effective(DEFAULT.merged(session))
    assert (told["task"], told["turn"]["mode"], told["turn"]["longest_ms"]) == ("translate", "adaptive", 900)
    assert (told["vad"]["silence_ms"], told["format"], told["channels"]) == (250, "pcmu", 2)
    assert type(told["sample_rate"]) is int


@pytest.mark.parametrize("name", ["include_audio", "words", "events", "vad", "format", "sample_rate"])
def test_null_is_refused_for_other_fields(name: str) -> None:
    with pytest.raises(ClientError) as refused:
        DEFAULT.merged({name: None})
    assert refused.value.param == f"session.{name}"


@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_those_of_the_document(name: str) -> None:
    low, high = RANGES[name]
    for value in (low, high):
        told = effective(DEFAULT.merged({"vad": {name: value if name == "threshold" else int(value)}}))
        assert told["vad"][name] == value
    for value in (low - 1, high + 1):
        with pytest.raises(ClientError) as refused:
            DEFAULT.merged({"vad": {name: value if name == "threshold" else int(value)}})
        assert refused.value.param == f"session.vad.{name}"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"events": "some"}, "session.events"),
        ({"events": {"all": True}}, "session.events"),
        ({"events": ["session.closed", 1]}, "session.events.1"),
        ({"language": "xx"}, "session.language"),
        ({"language": "klingon"}, "session.language"),
        ({"language": ""}, "session.language"),
        ({"language": 7}, "session.language"),
        ({"languages": "en"}, "session.languages"),
        ({"languages": ["en", "klingon"]}, "session.languages"),
        ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, "session.prompt"),
        ({"words": 1}, "session.words"),
        ({"hotwords": "Parakeet"}, "session.hotwords"),
        ({"hotwords": ["x" * (MAX_HOTWORD_CHARS + 1)]}, "session.hotwords"),
        ({"hotwords": ["x"] * (MAX_HOTWORDS + 1)}, "session.hotwords"),
        ({"redact": ["names"]}, "session.redact"),
        ({"redact": "pci"}, "session.redact"),
        ({"profanity_filter": "true"}, "session.profanity_filter"),
        ({"task": "summarise"}, "session.task"),
        ({"temperature": 1.5}, "session.temperature"),
        ({"temperature": "0"}, "session.temperature"),
        ({"turn": {"mode": "semantic"}}, "session.turn.mode"),
        ({"turn": {"shortest_ms": MIN_ENDPOINTING_MS - 1}}, "session.turn.shortest_ms"),
        ({"turn": {"longest_ms": MAX_ENDPOINTING_MS + 1}}, "session.turn.longest_ms"),
        ({"vad": []}, "session.vad"),
        ({"vad": {"threshold": True}}, "session.vad.threshold"),
        ({"vad": {"silence_ms": 300.5}}, "session.vad.silence_ms"),
        ({"vad": {"silence_ms": 10**29}}, "session.vad.silence_ms"),
        ({"sample_rate": 10**29}, "session.sample_rate"),
        ({"sample_rate": True}, "session.sample_rate"),
        ({"channels": 9}, "session.channels"),
        ({"format": "mp3"}, "session.format"),
    ],
)
def test_invalid_value_is_named_by_its_path(session: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientError) as refused:
        DEFAULT.merged(session)
    assert refused.value.param == param


def test_all_subscribes_to_every_event_and_lists_replace() -> None:
    everything = DEFAULT.merged({"events": "all"})
    assert everything.events == OPTIONAL_EVENTS
    assert everything.options.partials
    fewer = everything.merged({"events": ["session.closed", "unknown"]})
    assert fewer.events == {"session.closed"}
    assert not fewer.options.partials


def test_every_setting_is_reported() -> None:
    in_a_session = good.keys() | {"multichannel"}  # only the URL can change it
    assert SessionUpdate.model_fields.keys() == DEFAULT.effective().keys() == in_a_session
    assert VadUpdate.model_fields.keys() == effective(DEFAULT)["vad"].keys() == good_vad.keys()


def test_channels_that_are_kept_apart_stay() -> None:
    stereo = DEFAULT.begun({"multichannel": True, "channels": 2})
    assert (stereo.apart, DEFAULT.begun({"channels": 2}).apart) == (2, None)
    assert stereo.merged({"multichannel": True, "channels": 2, "sample_rate": 8_000}).apart == 2
    with pytest.raises(ClientError, match="for the whole session"):
        stereo.merged({"channels": 3})
    with pytest.raises(ClientError, match="how many `channels`"):
        DEFAULT.begun({"multichannel": True})


def test_server_defaults_apply_until_changed() -> None:
    options = SessionOptions(eager=False, partial_interval=1234)
    merged = SessionConfig(options).merged({"vad": {"silence_ms": 1}, "events": "all"})
    assert merged.options.eager is False
    assert merged.options.partial_interval == 1234


def test_manual_mode_lasts_until_another_is_chosen() -> None:
    manual = DEFAULT.merged({"turn": {"mode": "manual"}})
    assert effective(manual.merged({"vad": {"silence_ms": 500}}))["turn"] == {"mode": "manual"}
    assert manual.merged({"turn": {"mode": "fixed"}}) == DEFAULT


@pytest.mark.parametrize(
    "turn",
    [
        {"shortest_ms": 5_000, "longest_ms": 100},
        {"mode": "fixed", "shortest_ms": 5_000, "longest_ms": 100},
        {"mode": "adaptive", "shortest_ms": 5_000},
        {"mode": "model", "longest_ms": 100},
    ],
)
def test_contradicting_bounds_of_a_turn_are_refused(turn: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        DEFAULT.merged({"turn": turn})
    assert refused.value.param == "session.turn"
    assert "more than longest_ms, which is" in refused.value.message


def test_adaptive_endpointing_and_the_model_keep_their_bounds() -> None:
    adaptive = DEFAULT.merged({"turn": {"mode": "adaptive", "longest_ms": 900}})
    assert effective(adaptive)["turn"] == {"mode": "adaptive", "shortest_ms": 200, "longest_ms": 900}
    later = adaptive.merged({"turn": {"shortest_ms": 150}})
    assert effective(later)["turn"] == {"mode": "adaptive", "shortest_ms": 150, "longest_ms": 900}
    assert effective(later.merged({"turn": {"mode": "fixed"}}))["turn"] == {"mode": "fixed"}
    assert effective(DEFAULT.merged({"turn": {"shortest_ms": 150}}))["turn"] == {"mode": "fixed"}
    by_model = later.merged({"turn": {"mode": "model"}}).merged({"turn": {"longest_ms": 2_000}})
    assert effective(by_model)["turn"] == {"mode": "model", "shortest_ms": 150, "longest_ms": 2_000}


@pytest.mark.parametrize(
    ("known", "field", "problem"),
    [
        ([{"name": "Ann"}], "", "needs a clip"),
        ([{"name": "Ann", "audio": "!!!"}], "0.audio", "not base64"),
        ([{"name": "", "audio": "AAAA"}], "0.name", "is empty"),
        ([{"name": "x" * (MAX_NAME_CHARS + 1), "audio": "AAAA"}], "0.name", "more than 100"),
        ([{"name": " B ", "audio": "AAAA"}], "0.name", "label"),
        ([{"name": "  ", "audio": "AAAA"}], "0.name", "printed"),
        ([{"name": "Ann\n", "audio": "AAAA"}, {"name": "A\u202enn", "audio": "AAAA"}], "1.name", "printed"),
        ([{"name": str(n), "audio": "AAAA"} for n in range(MAX_KNOWN + 1)], "", "more than 6"),
    ],
)
def test_invalid_known_speaker_is_refused(known: list[dict[str, str]], field: str, problem: str) -> None:
    with pytest.raises(ClientError, match=problem) as refused:
        DEFAULT.merged({"known_speakers": known})
    assert str(refused.value.param).startswith("session.known_speakers")
    assert field in str(refused.value.param)


def test_known_speakers_replace_those_before() -> None:
    known = [{"name": str(n), "audio": "data:audio/wav;base64,AAAA"} for n in range(MAX_KNOWN)]
    config = DEFAULT.merged({"known_speakers": known})
    names = [{"name": str(n)} for n in range(MAX_KNOWN)]
    assert config.merged({"words": True}).effective()["known_speakers"] == names
    assert config.merged({"known_speakers": names}) == config
    changed = config.merged({"known_speakers": [*names[2:4], {"name": "new", "audio": "AAAA"}]})
    assert changed.known_speakers == ("2", "3", "new")
    with pytest.raises(ClientError, match="needs a clip"):
        changed.merged({"known_speakers": names})
    assert config.merged({"known_speakers": []}).known_speakers == ()
