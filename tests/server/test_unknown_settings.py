"""Test which variables are reported because no setting has their name."""

from dotenv import dotenv_values

from server.settings import Settings
from server.settings.unknown import names_of, warnings
from tests.server.live_server import ROOT

KNOWN = names_of(Settings.model_fields)


def found(environment: tuple[str, ...] = (), env_file: tuple[str, ...] = ()) -> list[str]:
    return list(warnings(KNOWN, environment, env_file))


def test_every_setting_is_known() -> None:
    names = [*dotenv_values(ROOT / ".env.example"), "OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert len(names) > 40
    assert found(tuple(names), tuple(name.lower() for name in names)) == []


def test_a_misspelt_name_in_the_file_suggests_the_nearest() -> None:
    assert found(env_file=("ORIGIN", "API_KEY")) == [
        ".env: API_KEY is no setting and is ignored (docs/settings.md). Did you mean API_KEYS?",
        ".env: ORIGIN is no setting and is ignored (docs/settings.md). Did you mean ORIGINS?",
    ]


def test_another_name_in_the_file_is_ignored_with_a_warning() -> None:
    assert found(env_file=("QUUX_ZZZ",)) == [
        ".env: QUUX_ZZZ is no setting and is ignored (docs/settings.md)."
    ]


def test_a_variable_of_another_program_is_not_reported() -> None:
    others = ("SSL_CERT_FILE", "API_KEY", "LOGLEVEL", "HOSTNAME", "HF_HOME", "PATH", "MAX_SESSION")
    assert found(environment=others) == []
    assert found(environment=others, env_file=others) == []


def test_a_misspelt_name_of_our_own_is_reported_in_the_environment() -> None:
    assert found(environment=("asr_modle", "VAD_SILENCE", "ASR_MODEL_DIR")) == [
        "ASR_MODLE is no setting and is ignored (docs/settings.md). Did you mean ASR_MODEL?",
        "VAD_SILENCE is no setting and is ignored (docs/settings.md). Did you mean VAD_SILENCE_MS?",
    ]


def test_a_variable_that_the_file_cannot_set_is_named() -> None:
    assert found(env_file=("ASR_MODEL_DIR",)) == [
        ".env: ASR_MODEL_DIR is read from the environment only (docs/models.md)."
    ]
