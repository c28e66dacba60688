"""Test where settings are read from and which are refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from asr.hallucination_filter import FILTERS, FilterThresholds, Strictness
from audio.clip import samples_from_ms
from postprocessing.summary_types import SummaryEndpoint
from server.observability.log_config import LogFormat
from server.settings import Settings, WorkerKind
from server.settings.renamed import RENAMED, refusals
from tests.server.live_server import vad_setting
from vad.options import RANGES, VadOptions


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Clear the environment and use an empty folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_environment_overrides_env_and_env_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("PORT=6001\nMAX_SESSIONS=7\n")
    monkeypatch.setenv("PORT", "6002")
    settings = Settings()
    assert (settings.port, settings.max_sessions, settings.host) == (6002, 7, "localhost")


def test_the_default_address_is_localhost_5001() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("localhost", 5001)


def test_names_ignore_case_and_unknown_ones_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("NONSENSE=1\nlog_format=json\n")
    monkeypatch.setenv("asr_worker", "thread")
    settings = Settings()
    assert (settings.log_format, settings.asr_worker) == (LogFormat.JSON, WorkerKind.THREAD)


def test_old_names_are_refused_with_the_new_ones() -> None:
    names = ["turn", "GUARD_MIN_RMS", "Guard_Anything", "PORT", "TURNED", "MY_TURN", "RATE_LIMIT_BURST"]
    assert list(refusals(names)) == [
        "GUARD_ANYTHING is no longer a setting: use HALLUCINATION_FILTER (docs/settings.md).",
        "GUARD_MIN_RMS is no longer a setting: use HALLUCINATION_FILTER (docs/settings.md).",
        "TURN is no longer a setting: use ENDPOINTING (docs/settings.md).",
    ]


def test_new_names_are_settings_and_old_ones_are_not() -> None:
    settings = {name.upper() for name in Settings.model_fields}
    assert set(RENAMED.values()) <= settings
    assert list(refusals(settings)) == []


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().__setattr__("port", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("port", "http"),
        ("port", ""),
        ("ssl_certfile", "nowhere.pem"),
        ("ssl_keyfile", "."),
        ("max_sessions", "0"),
        ("max_message_bytes", "100"),
        ("max_message_bytes", str(23 << 20)),
        ("send_timeout_seconds", "0"),
        ("shutdown_timeout_seconds", "-1"),
        ("asr_batch_seconds", "nan"),
        ("hub_timeout_seconds", "61"),
        ("eager_finals", "perhaps"),
        ("asr_worker", "cloud"),
        ("endpointing", "never"),
        ("hallucination_filter", "on"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("vad_threshold", "1.1"),
        ("vad_threshold", "nan"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [fault["loc"] for fault in refused.value.errors()] == [(name,)]


@pytest.mark.parametrize(
    ("said", "guards"),
    [
        (None, FilterThresholds()),
        ("normal", FilterThresholds()),
        ("off", FILTERS[Strictness.OFF]),
        ("strict", FILTERS[Strictness.STRICT]),
    ],
)
def test_hallucination_filter_chooses_the_guards(
    monkeypatch: pytest.MonkeyPatch, said: str | None, guards: FilterThresholds
) -> None:
    if said is not None:
        monkeypatch.setenv("HALLUCINATION_FILTER", said)
    assert Settings().session_options().guards == guards


@pytest.mark.parametrize("name", RANGES)
def test_a_server_can_set_what_a_client_can_and_no_more(name: str) -> None:
    low, high = RANGES[name]
    for value in (low, high):
        options = Settings.model_validate({vad_setting(name): value}).session_options()
        assert getattr(options.vad, name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValidationError):
            Settings.model_validate({vad_setting(name): value})


def test_a_stream_starts_with_the_library_defaults() -> None:
    options = Settings().session_options()
    assert options.vad == VadOptions()
    assert options.partials is False


@given(eager=st.booleans(), interval=st.integers(100, 60_000))
def test_a_stream_starts_with_what_was_set(eager: bool, interval: int) -> None:
    values: dict[str, Any] = {"eager_finals": eager, "partial_interval_ms": interval}
    options = Settings(_env_file=None, **values).session_options()
    assert options.eager is eager
    assert options.partial_interval == samples_from_ms(interval)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_recognizers_have_names_and_the_default_is_the_first() -> None:
    settings = Settings(asr_model="en=/models/base", asr_models="free, org/model")
    assert list(settings.engine_options().recognizers.items()) == [
        ("en", "/models/base"),
        ("free", "free"),
        ("org/model", "org/model"),
    ]
    assert Settings().engine_options().recognizers == {"auto": "auto"}


def test_two_recognizers_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"asr_models\n.*have the same name tiny"):
        Settings(asr_model="/a/tiny", asr_models="/b/tiny")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"summary_url": "localhost:11434", "summary_model": "m"}, "it must begin with http"),
        ({"summary_url": "http://localhost:11434/v1"}, "SUMMARY_URL needs SUMMARY_MODEL"),
    ],
)
def test_summary_endpoint_must_be_complete(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(_env_file=None, **values)  # type: ignore[arg-type]


def test_summary_endpoint_is_optional_and_its_key_is_hidden() -> None:
    assert Settings(_env_file=None).summary_endpoint() is None
    values = {"summary_url": "http://h/v1", "summary_model": "m", "summary_api_key": "k3y"}
    settings = Settings(_env_file=None, **values)  # type: ignore[arg-type]
    assert settings.summary_endpoint() == SummaryEndpoint("http://h/v1", "m", "k3y")
    assert "k3y" not in repr(settings) + repr(settings.summary_endpoint())
