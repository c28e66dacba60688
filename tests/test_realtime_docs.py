"""Check docs/realtime.md against the code: messages, settings, errors and bounds."""

from collections.abc import Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel

from asr.recognizer import MAX_HOTWORD_CHARS, MAX_HOTWORDS, Hypothesis
from server.errors import ClientError
from server.protocols.openai_realtime.client_secrets import BETA_SECONDS, DEFAULT_SECONDS, MAX_SECRETS
from server.protocols.openai_realtime.conversation_items import MAX_ITEMS
from server.protocols.openai_realtime.endpoint import PATHS
from server.protocols.openai_realtime.input import RealtimeInput
from server.protocols.openai_realtime.ordered_replies import (
    CloseReply,
    CommitReply,
    DeleteReply,
    IdleCheck,
    RetrieveReply,
    UpdateReply,
)
from server.protocols.openai_realtime.output import RealtimeOutput
from server.protocols.openai_realtime.session_config import (
    LIVE_MODELS,
    MAX_PROMPT,
    AudioInput,
    GivenFields,
    RealtimeConfig,
)
from streaming.driver import StreamDriver
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    NoteReached,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.options import SessionOptions
from tests.server.fakes import silent_models
from tests.test_docs import CLIP, codes, page, rows, section
from vad.options import RANGES
from vad.segmenter import Reason

PAGE: Final = page("docs/realtime.md")
PLAIN: Final = RealtimeConfig(SessionOptions())
SETTINGS_ROWS: Final = {codes(row[0])[0]: row for row in rows(section(PAGE, "Settings"))}
IDLE: Final = PLAIN.merged({"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}})


def test_the_types_that_a_client_may_send_are_those_of_the_page() -> None:
    told = [type_ for row in rows(section(PAGE, "Client to server")) for type_ in codes(row[0])]
    intake = RealtimeInput(StreamDriver(silent_models(), PLAIN.options), PLAIN)
    assert sorted(told) == sorted(map(str, intake._handlers))


EVENTS: Final[list[Event]] = [
    UtteranceStarted(1, 0),
    UtteranceEnded(1, 1_600, Reason.SILENCE),
    FinalTranscript(1, CLIP, Reason.SILENCE, Hypothesis("good")),
    AudioCleared(1_600, 1_600),
    NoteReached(CommitReply(None), 3_200),
    NoteReached(UpdateReply(IDLE, "session.updated"), 3_200),
    NoteReached(IdleCheck(), 83_200),
    NoteReached(RetrieveReply("item_s_1", None), 83_200),
    NoteReached(DeleteReply("item_s_1", None), 83_200),
    NoteReached(ClientError("invalid_json", "no"), 83_200),
    UtteranceStarted(2, 83_200),
    UtteranceEnded(2, 84_800, Reason.SILENCE),
    TranscriptionFailed(2, 83_200, 84_800, "why"),
    NoteReached(UpdateReply(IDLE.merged({"include": None}), "transcription_session.updated"), 84_800),
    NoteReached(CloseReply(), 84_800),
    StreamClosed(84_800, 3_200, 81_600, 0, 2),
]


def test_the_types_that_a_server_sends_are_those_of_the_page() -> None:
    told = {type_ for row in rows(section(PAGE, "Server to client")) for type_ in codes(row[0])}
    wire = RealtimeOutput("s", PLAIN)
    sent = {message["type"] for event in EVENTS for message in wire.messages_of(event)}
    sent |= {"session.created", "transcription_session.created", "conversation.item.created"}
    assert told == sent


def paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Return the names of all settings, with dots."""
    for name, field in model.model_fields.items():
        inner = [part for part in _parts(field.annotation) if issubclass(part, BaseModel)]
        if not inner or name == "turn_detection":
            yield f"{above}{name}"
        for part in inner:
            yield from paths(part, f"{above}{name}.")


def _parts(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def test_the_settings_are_those_of_the_page() -> None:
    assert SETTINGS_ROWS.keys() == set(paths(GivenFields))
    assert {name for name in SETTINGS_ROWS if name.count(".") >= 2} >= {
        f"audio.input.{name}" for name in paths(AudioInput)
    }


def test_the_ranges_are_those_of_the_page() -> None:
    turn, heard = "audio.input.turn_detection", "audio.input.transcription"
    assert SETTINGS_ROWS[f"{turn}.prefix_padding_ms"][2].startswith(f"up to {RANGES['prefix_ms'][1]};")
    assert SETTINGS_ROWS[f"{turn}.silence_duration_ms"][2].startswith(f"up to {RANGES['silence_ms'][1]};")
    assert SETTINGS_ROWS[f"{heard}.prompt"][2] == f"at most {MAX_PROMPT} characters"
    assert (
        SETTINGS_ROWS[f"{heard}.keywords"][2] == f"at most {MAX_HOTWORDS} of {MAX_HOTWORD_CHARS} characters"
    )
    assert f"The latest {MAX_ITEMS} items" in section(PAGE, "Items")
    assert set(LIVE_MODELS) <= set(codes(section(PAGE, "Deltas")))
    secrets = section(PAGE, "Client secrets")
    assert f'"seconds": {DEFAULT_SECONDS}' in secrets
    assert f"({BETA_SECONDS} s, flat fields" in secrets
    assert f"at most {MAX_SECRETS:,} of them" in secrets


def test_the_paths_are_those_of_the_page() -> None:
    assert all(path in section(PAGE, "Connecting") for path in PATHS)
