"""Test that problems of settings are named, and that no secret is shown in them."""

from typing import Any, Final

import pytest
from pydantic import SecretStr, ValidationError

from server.settings import Settings
from server.settings.problems import problems_of
from server.settings.summary import SummarySettings

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
    "_keys_are_valid": {"api_keys": MARK},
    "_secret_is_long": {"token_secret": MARK},
    "_names_are_unique": {"asr_model": "/a/x", "asr_models": "/b/x"},
    "_is_url": {"summary_url": f"ftp://user:{MARK}@host"},
    "_url_has_model": {"summary_url": "http://host"},
    "_is_a_secret": {"job_callback_secret": MARK},
}
NEEDS_MISSING_PACKAGE: Final = {"_has_yt_dlp", "_has_boto3", "_can_be_traced"}


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
    assert names - NEEDS_MISSING_PACKAGE == REFUSED.keys()


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
