"""Test that the configuration of a session is restored from its journal."""

import orjson
import pytest

from server.protocols.native.session_config import OutputOptions, SessionConfig
from server.protocols.native.session_state import restore_config, restore_outputs, save_config, save_outputs
from streaming.options import SessionOptions

CHOICES: list[dict[str, object]] = [
    {},
    {"turn": {"mode": "adaptive", "longest_ms": 900}},
    {"turn": {"mode": "model", "shortest_ms": 150}},
    {"turn": {"mode": "manual"}, "format": "pcmu", "sample_rate": 8000, "channels": 2},
    {
        "languages": ["de", "en"],
        "prompt": "x",
        "hotwords": ["Silero", "VAD"],
        "temperature": 0.5,
        "words": True,
    },
    {"redact": ["pci", "ssn"], "profanity_filter": True},
    {"events": "all", "include_audio": False, "vad": {"silence_ms": 700, "threshold": 0.25}},
]


@pytest.mark.parametrize("session", CHOICES)
def test_config_is_restored(session: dict[str, object]) -> None:
    config = SessionConfig(SessionOptions()).merged(session)
    saved = orjson.loads(orjson.dumps(save_config(config)))
    assert restore_config(saved) == config


def test_unknown_fields_of_another_version_are_ignored() -> None:
    saved = orjson.loads(orjson.dumps(save_config(SessionConfig(SessionOptions()))))
    saved["options"]["vad"]["from_the_future"] = 3
    saved["options"]["new"] = True
    del saved["options"]["guards"]["max_rate"]
    del saved["options"]["text"]
    assert restore_config(saved) == SessionConfig(SessionOptions())


def test_output_options_of_utterances_are_restored() -> None:
    captured = {3: OutputOptions(True, False, True), 4: OutputOptions(False, True, False)}
    assert restore_outputs(orjson.loads(orjson.dumps(save_outputs(captured)))) == captured
