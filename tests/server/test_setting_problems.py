"""Test that problems of settings are named, and that no secret is shown in them."""

import subprocess
import sys
from typing import Any, Final

import pytest
from pydantic import SecretStr, ValidationError

from server.settings import Settings
from server.settings.problems import problems_of
from server.settings.summary import SummarySettings
from tests.server.live_server import ROOT

MARK: Final = "s3cr3tMARK"
# A valid value of each secret setting; the mark is base64, too.
SECRETS: Final = {
    "api_keys": f"me:{MARK}0123456789",
    "token_secret": MARK * 4,
    "database_url": f"postgresql://user:{MARK}@host/name",
    "job_callback_secret": "whsec_" + MARK * 4,
    "summary_api_key": MARK,
}
# Settings that each validator refuses.
REFUSED: Final[dict[str, dict[str, str]]] = {
    "_file_exists": {"ssl_certfile": "/no/file"},
    "_key_has_certificate": {"ssl_keyfile": __file__},
    "_are_origins": {"origins": "https://a.example, foo"},
    "_is_model": {"asr_model": "en="},
    "_is_device": {"asr_device": "banana"},
    "_is_vad_device": {"vad_device": "cuda:"},
    "_bounds_are_ordered": {"endpointing_shortest_ms": "5000", "endpointing_longest_ms": "100"},
    "_is_folder": {"files_dir": "/no/folder"},
    "_is_no_file": {"data_dir": __file__},
    "_journal_is_no_file": {"journal_dir": __file__},
    "_is_postgres": {"database_url": f"mysql://user:{MARK}@host/name"},
    "_is_bucket": {"job_audio_url": f"https://user:{MARK}@host/bucket"},
    "_video_sites_are_fetched": {"fetch_video_sites": "true"},
    "_can_be_traced": {"trace_endpoint": f"ftp://user:{MARK}@host"},
    "_keys_are_valid": {"api_keys": MARK},
    "_secret_is_long": {"token_secret": MARK},
    "_names_are_unique": {"asr_model": "/a/x", "asr_models": "/b/x"},
    "_is_url": {"summary_url": f"ftp://user:{MARK}@host"},
    "_url_has_model": {"summary_url": "http://host"},
    "_is_language_model": {"asr_language_model": "/no/such.arpa"},
    "_is_a_secret": {"job_callback_secret": MARK},
}
ONLY_CHECK_PACKAGES: Final = {"_has_yt_dlp", "_has_onnxruntime"}


def problems(values: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, **values)
    assert MARK not in str(refused.value)
    return problems_of(refused.value, Settings)


def test_every_secret_setting_has_a_sample() -> None:
    secret = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert secret == SECRETS.keys()
    Settings(_env_file=None, **SECRETS)  # type: ignore[arg-type]


def test_every_validator_has_a_refused_sample() -> None:
    decorators = Settings.__pydantic_decorators__
    names = {*decorators.field_validators, *decorators.model_validators}
    assert names - ONLY_CHECK_PACKAGES == REFUSED.keys()


@pytest.mark.parametrize("validator", REFUSED)
def test_no_validator_shows_a_secret(validator: str) -> None:
    lines = problems({**SECRETS, **REFUSED[validator]})
    assert MARK not in "".join(lines)
    assert all("Value error" not in line for line in lines)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [5, [MARK], {MARK: MARK}, MARK.encode() + b"\xff"])
def test_no_secret_of_a_wrong_type_is_shown(name: str, value: object) -> None:
    (line,) = problems({**SECRETS, name: value})
    assert line.startswith(f"{name.upper()}=…: ")
    assert MARK not in line


def test_settings_that_contradict_are_not_printed() -> None:
    values = {**SECRETS, "summary_url": "http://host"}
    assert problems(values) == ["SUMMARY_URL needs SUMMARY_MODEL"]
    with pytest.raises(ValidationError) as refused:
        SummarySettings(_env_file=None, **values)  # type: ignore[arg-type]
    assert problems_of(refused.value, SummarySettings) == ["SUMMARY_URL needs SUMMARY_MODEL"]


def test_password_in_an_address_is_not_shown() -> None:
    (line,) = problems({"summary_url": f"ftp://user:{MARK}@host"})
    assert line == "SUMMARY_URL=ftp://…@host: it must begin with http:// or https:// and name a host"


def test_a_problem_names_its_setting_and_value() -> None:
    assert problems({"port": "70000"}) == ["PORT=70000: it must be at most 65535"]
    assert problems({"max_lag_seconds": "inf"}) == ["MAX_LAG_SECONDS=inf: it must be a finite number"]
    assert problems({"vad_threshold": "nan"}) == ["VAD_THRESHOLD=nan: it must be a finite number"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("asr_model", "", "'' names no model"),
        ("asr_models", "en=", "'en=' names no model"),
        ("asr_models", "=org/model", "'=org/model' names no model"),
        ("asr_dtype", "int3", "it must be 'auto', 'float32', 'bfloat16', 'float16' or 'int8'"),
        ("database_url", "garbage", "it must be the URL of a Postgres database"),
        ("job_audio_url", "bucket", "it must be s3://bucket or s3://bucket/prefix"),
        ("log_level", "chatty", "it must be 'debug', 'info', 'warning' or 'error'"),
        ("origins", "https://app.example/", "'https://app.example/' is no origin such as"),
        ("origins", "https://App.example", "'https://App.example' is no origin such as"),
        ("trace_endpoint", "collector:4318", "it must begin with http:// or https:// and name a host"),
        ("max_file_seconds", "inf", "it must be a finite number"),
    ],
)
def test_value_that_cannot_work_is_refused(name: str, value: str, problem: str) -> None:
    (line,) = problems({name: value})
    assert line.startswith(f"{name.upper()}=")
    assert problem in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("asr_device", "cuda:1"),
        ("asr_model", "en=/models/a=b"),
        ("asr_models", "/models/a=b, en=org/model"),
        ("data_dir", "/no/folder/yet"),
        ("database_url", "postgresql:///name?host=/run/postgresql"),
        ("database_url", "postgres://user:pass%2Fword@host:5433/name"),
        ("origins", "*"),
        ("origins", "https://app.example, http://[::1]:3000, null, chrome-extension://abcdef"),
        ("trace_endpoint", "http://localhost:4318/v1/traces"),
    ],
)
def test_value_that_works_is_accepted(name: str, value: str) -> None:
    Settings(_env_file=None, **{name: value})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "values", "extra"),
    [
        ("boto3", {"JOB_AUDIO_URL": "s3://bucket"}, "s3"),
        ("yt_dlp", {"FETCH_VIDEO_SITES": "true", "FETCH_URLS": "true"}, "video"),
        ("onnxruntime", {"ENDPOINTING": "model"}, "turn"),
        ("flashlight", {"ASR_LANGUAGE_MODEL": "/srv/vi.arpa"}, "beam"),
        ("opentelemetry", {"TRACE_ENDPOINT": "http://localhost"}, "trace"),
    ],
)
def test_setting_names_the_extra_that_it_needs(module: str, values: dict[str, str], extra: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; import main; main.read_settings()"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PATH": "", **values}, capture_output=True, text=True
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{next(iter(values))}=")
    assert f"the extra `{extra}`" in line
