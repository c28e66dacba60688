"""Test that every protocol names a bad value in plain words, without internals of the server."""

import re
from collections.abc import Callable
from typing import Any, Final

import pytest

from server.errors import ApiError, ClientError
from server.protocols.deepgram.options import parse_options
from server.protocols.job_fields import parse_job_fields
from server.protocols.native.session_config import SessionConfig, session_from_query
from server.protocols.openai_audio.request import parse_transcription
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.options import SessionOptions
from tests.server.live_server import ROOT

INTERNALS: Final = re.compile(
    r"Input should|Value error|Assertion|pattern|dictionary|instance of|unable to parse|literal\["
    r"|Update\b|Vad\b"
)
OPTIONS: Final = SessionOptions()


def native(session: dict[str, Any]) -> object:
    return SessionConfig(OPTIONS).merged(session)


def native_query(query: dict[str, str]) -> object:
    return SessionConfig(OPTIONS).merged(session_from_query(query))


def realtime(session: dict[str, Any]) -> object:
    return RealtimeConfig(OPTIONS).merged(session)


def audio(fields: dict[str, Any]) -> object:
    return parse_transcription({"model": "m", **fields}.items(), OPTIONS)


def deepgram(query: dict[str, str]) -> object:
    return parse_options(query.items(), OPTIONS)


def jobs(fields: dict[str, Any]) -> object:
    return parse_job_fields(fields.items()).options()


def realtime_input(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


MILLISECONDS = "it must be false or from 0 to 60000 ms"
STRATEGY = "it must be 'auto' or an object with the type 'server_vad'"
UNKNOWN_LANGUAGE = "no language 'klingon' is known; use ISO 639-1 codes"


@pytest.mark.parametrize(
    ("parse", "values", "message"),
    [
        (native_query, {"language": "klingon"}, f"session.language: {UNKNOWN_LANGUAGE}"),
        (native_query, {"languages": "en,klingon"}, f"session.languages: {UNKNOWN_LANGUAGE}"),
        (native_query, {"words": "perhaps"}, "session.words: it must be true or false"),
        (native_query, {"sample_rate": "fast"}, "session.sample_rate: it must be a whole number"),
        (native, {"turn": "fixed"}, "session.turn: it must be an object"),
        (native, {"vad": 5}, "session.vad: it must be an object"),
        (native, {"vad": {"silence_ms": "5"}}, "session.vad.silence_ms: it must be a whole number"),
        (native, {"task": "sing"}, "session.task: it must be 'transcribe' or 'translate'"),
        (native, {"hotwords": [5]}, "session.hotwords.0: it must be a string"),
        (
            native,
            {"turn": {"mode": "never"}},
            "session.turn.mode: it must be 'fixed', 'adaptive', 'model' or 'manual'",
        ),
        (realtime, {"audio": 5}, "session.audio: it must be an object"),
        (
            realtime,
            realtime_input(transcription={"language": "klingon"}),
            f"session.audio.input.transcription.language: {UNKNOWN_LANGUAGE}",
        ),
        (
            realtime,
            realtime_input(turn_detection={"type": "none"}),
            "session.audio.input.turn_detection: its type must be one of 'server_vad', 'semantic_vad'",
        ),
        (audio, {"temperature": "2"}, "Invalid 'temperature': it must be at most 1."),
        (audio, {"model": "m" * 300}, "Invalid 'model': it has more than 256 characters."),
        (audio, {"chunking_strategy": "none"}, f"Invalid 'chunking_strategy': {STRATEGY}."),
        (
            audio,
            {"chunking_strategy": '{"type": "server_vad", "threshold": "loud"}'},
            "Invalid 'chunking_strategy': it must be a number.",
        ),
        (audio, {"stream": "perhaps"}, "Invalid 'stream': it must be true or false."),
        (deepgram, {"endpointing": "soon"}, f"endpointing: {MILLISECONDS}"),
        (deepgram, {"utterance_end_ms": "70000"}, f"utterance_end_ms: {MILLISECONDS}"),
        (deepgram, {"punctuate": "perhaps"}, "punctuate: it must be true or false"),
        (deepgram, {"utt_split": "61"}, "utt_split: it must be at most 60"),
        (deepgram, {"track": "-1"}, "track: it must be at least 0"),
        (jobs, {"hotwords": "[bad"}, "Invalid 'hotwords': it is not valid JSON: "),
        (jobs, {"task": "sing"}, "Invalid 'task': it must be 'transcribe' or 'translate'."),
        (jobs, {"priority": "high"}, "Invalid 'priority': it must be 'normal' or 'low'."),
    ],
)
def test_bad_value_is_named_in_plain_words(
    parse: Callable[[dict[str, Any]], object], values: dict[str, Any], message: str
) -> None:
    with pytest.raises((ApiError, ClientError)) as refused:
        parse(values)
    error = refused.value
    assert isinstance(error, ApiError | ClientError)
    assert error.message.startswith(message)
    assert not INTERNALS.search(error.message)


def test_no_code_sends_the_messages_of_pydantic() -> None:
    """All of them come from server/validation.py."""
    sent = re.compile(r"""\[["']msg["']\]""")
    folders = ("server", "cli", "main.py", "engine", "jobs")
    paths = [
        path for name in folders for path in ([ROOT / name] if ".py" in name else (ROOT / name).rglob("*.py"))
    ]
    assert len(paths) > 100
    assert [str(path) for path in paths if sent.search(path.read_text(encoding="utf-8"))] == []
