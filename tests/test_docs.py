"""The documents say what the code does: settings, metrics, the protocol, the links."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pytest
from dotenv import dotenv_values
from prometheus_client.parser import text_string_to_metric_families

import server.errors
from asr.hallucination_filter import NAMES
from asr.recognizer import (
    MAX_HOTWORD_CHARS,
    MAX_HOTWORDS,
    MAX_PROMPT_CHARS,
    Hypothesis,
    ModelInfo,
    Task,
    TranscriptionOptions,
    Word,
)
from audio.clip import Clip, ms_from_samples
from audio.codecs import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Format
from audio.errors import AudioError
from batching.batcher import Batcher
from batching.threads import ThreadWorker
from diarization.known_speakers import MAX_KNOWN
from diarization.speaker_history import SpeakerChange
from engine.engine import Engine
from scripts.write_settings_docs import FILES
from server.admission.controller import AdmissionController
from server.errors import (
    ClientError,
    internal,
    model_unavailable,
    models_not_ready,
    overloaded,
    rate_limited,
    restarting,
    resume_unknown,
    session_limit_reached,
)
from server.lifecycle.probes import add_gauges
from server.observability.metrics import Metrics
from server.protocols.native.input import APPEND, NativeInput
from server.protocols.native.output import NativeOutput
from server.protocols.native.session_config import (
    MAX_ENDPOINTING_MS,
    MIN_ENDPOINTING_MS,
    OPTIONAL_EVENTS,
    EndpointingUpdate,
    SessionConfig,
    SessionUpdate,
    VadUpdate,
    session_from_query,
)
from server.settings import Settings
from streaming.driver import StreamDriver
from streaming.endpointing import AdaptiveSilence
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    PartialTranscript,
    SpeakersRevised,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.model_clients import ModelClients, Probabilities
from streaming.options import SessionOptions
from tests.server.live_server import vad_setting
from vad.detector_input import DetectorInput
from vad.options import RANGES, VadOptions
from vad.segmenter import Reason

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
DEFAULTS: Final = Settings.model_construct()  # whatever the environment says

Message = dict[str, Any]

# Reading a page


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, down to the next one of its level."""
    level, start = next((m[1], m.end()) for m in re.finditer(r"^(#+) (.+)$", text, re.M) if m[2] == heading)
    end = re.search(rf"^#{{1,{len(level)}}} ", text[start:], re.M)
    return text[start : start + end.start()] if end else text[start:]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        row
        for row, below in zip(cells, [*cells[1:], [""]], strict=True)
        if not _rule(row) and not _rule(below)
    ]


def _rule(row: list[str]) -> bool:
    """The line under a table's head."""
    return set("".join(row)) == {"-"}


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def examples(text: str) -> Iterator[Message]:
    """The objects in the blocks of JSON. Raises JSONDecodeError."""
    for block in re.findall(r"^```json\n(.+?)^```", text, re.M | re.S):
        rest = block.strip()
        while rest:
            example, end = json.JSONDecoder().raw_decode(rest)
            yield example
            rest = rest[end:].strip()


PROTOCOL: Final = page("docs/protocol.md")
FROM_CLIENT: Final = list(examples(section(PROTOCOL, "Client to server")))
FROM_SERVER: Final = {
    example["type"]: example
    for heading in ("Server to client", "Events to opt in to")
    for example in examples(section(PROTOCOL, heading))
}
SETTINGS_ROWS: Final = {codes(row[0])[0]: row for row in rows(section(PROTOCOL, "Settings"))}
ERROR_ROWS: Final = {codes(row[0])[0]: row for row in rows(section(PROTOCOL, "An error")) if len(row) == 3}
RESERVED: Final = set(codes(re.findall(r"^Reserved for later: .+$", PROTOCOL, re.M)[0]))

# Settings


@pytest.mark.parametrize("name", FILES)
def test_a_file_about_settings_is_what_the_script_makes(name: str) -> None:
    assert page(name) == FILES[name](), "run: python -m scripts.write_settings_docs"


def test_env_example_holds_every_setting_at_its_default() -> None:
    values = {name.lower(): value for name, value in dotenv_values(ROOT / ".env.example").items()}
    assert values.keys() == Settings.model_fields.keys()
    assert Settings(_env_file=None, **values) == DEFAULTS  # type: ignore[arg-type]


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


# Metrics


def test_the_metrics_are_those_of_the_page() -> None:
    metrics = Metrics()
    add_gauges(
        metrics,
        Engine(DEFAULTS.engine_options()),
        AdmissionController(1),
        AdmissionController(1),
        AdmissionController(1),
    )
    labels = {m._name: list(m._labelnames) for m in vars(metrics).values() if hasattr(m, "_labelnames")}
    told = {
        family.name: (family.type, labels.get(family.name, []), family.documentation)
        for family in text_string_to_metric_families(metrics.text().decode())
        if not family.name.endswith("_created")
    }
    written = {
        codes(name)[0].removesuffix("_total"): (kind, codes(label), meaning)
        for name, kind, label, meaning in (row for row in rows(page("docs/metrics.md")) if len(row) == 4)
    }
    assert written.keys() == told.keys()
    for name, (kind, label, meaning) in told.items():
        assert written[name][:2] == (kind, label), name
        assert written[name][2].startswith(meaning), name


# The protocol: messages of the client


def idle_intake() -> NativeInput:
    """Of a session without models; for messages that need none."""
    idle: ThreadWorker[None, Any, Any] = ThreadWorker(lambda: None, lambda _, items: items, name="idle")
    vad: Batcher[DetectorInput, Probabilities] = Batcher(idle, max_items=1, max_waiting=1)
    models = ModelClients(NoSlots(), vad, Batcher(idle, max_items=1, max_waiting=1))
    return NativeInput(StreamDriver(models, SessionOptions()), SessionConfig(SessionOptions()))


class NoSlots:
    def open(self) -> int:
        raise NotImplementedError

    def close(self, slot: int) -> None:
        raise NotImplementedError


def test_the_types_that_a_client_may_send_are_those_of_the_page() -> None:
    assert {example["type"] for example in FROM_CLIENT} == {APPEND} | idle_intake()._handlers.keys()


@pytest.mark.parametrize("example", FROM_CLIENT, ids=lambda example: str(example["type"]))
def test_the_server_accepts_each_example(example: Message) -> None:
    idle_intake().receive(json.dumps(example))


def test_the_keys_of_session_update_are_those_of_the_page() -> None:
    plain = SessionUpdate.model_fields.keys() - {"vad", "turn"}
    turn = {f"turn.{name}" for name in EndpointingUpdate.model_fields}
    assert SETTINGS_ROWS.keys() == plain | turn | {f"vad.{name}" for name in VadUpdate.model_fields}


@pytest.mark.parametrize("name", ["shortest", "longest"])
def test_a_bound_of_an_adaptive_turn_is_that_of_the_page(name: str) -> None:
    _, _, span, default, _ = SETTINGS_ROWS[f"turn.{name}_ms"]
    assert [int(bound) for bound in re.findall(r"\d+", span)] == [MIN_ENDPOINTING_MS, MAX_ENDPOINTING_MS]
    limits = Settings.model_fields[f"endpointing_{name}_ms"].metadata
    assert (limits[0].ge, limits[1].le) == (MIN_ENDPOINTING_MS, MAX_ENDPOINTING_MS)
    samples = getattr(AdaptiveSilence(), name)
    assert int(default) == getattr(DEFAULTS, f"endpointing_{name}_ms") == ms_from_samples(samples)


def test_the_guards_are_those_of_the_page() -> None:
    assert [name for row in rows(section(PROTOCOL, "Guards")) for name in codes(row[0])] == list(NAMES)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_and_a_default_of_the_detector_are_those_of_the_page(name: str) -> None:
    """The page, a session's options and the server's settings say the same."""
    _, _, span, default, _ = SETTINGS_ROWS[f"vad.{name}"]
    assert [float(bound) for bound in re.findall(r"\d+", span)] == list(RANGES[name])
    setting = vad_setting(name)
    assert json.loads(default) == getattr(VadOptions(), name) == getattr(DEFAULTS, setting)
    limits = Settings.model_fields[setting].metadata
    assert (limits[0].ge, limits[1].le) == RANGES[name]


def test_the_other_defaults_of_session_update_are_those_of_the_page() -> None:
    plain = {name: row[3].strip("`") for name, row in SETTINGS_ROWS.items() if "." not in name}
    defaults = {name: SessionUpdate.model_fields[name].default for name in plain}
    assert {n: text if n in ("format", "task") else json.loads(text) for n, text in plain.items()} == defaults


def test_the_other_ranges_of_session_update_are_those_of_the_page() -> None:
    assert SETTINGS_ROWS["sample_rate"][2] == f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
    assert SETTINGS_ROWS["channels"][2] == f"1 to {MAX_CHANNELS}"
    assert SETTINGS_ROWS["hotwords"][2] == f"at most {MAX_HOTWORDS} of {MAX_HOTWORD_CHARS} characters"
    assert codes(SETTINGS_ROWS["task"][2]) == list(get_args(Task))
    assert SETTINGS_ROWS["known_speakers"][2] == f"at most {MAX_KNOWN}"
    assert SETTINGS_ROWS["prompt"][2] == f"at most {MAX_PROMPT_CHARS} characters"
    assert codes(SETTINGS_ROWS["format"][2]) == list(Format)


def test_the_parameters_of_the_url_are_those_of_the_page() -> None:
    documented = [name for row in rows(section(PROTOCOL, "The connection")) for name in codes(row[0])]
    of_the_session = set(documented) - {"model"}
    assert of_the_session == SessionUpdate.model_fields.keys() - {"vad", "turn", "known_speakers"}
    assert session_from_query(dict.fromkeys(documented, "all")).keys() == of_the_session


# The protocol: messages of the server


def test_the_types_that_a_server_sends_are_those_of_the_page() -> None:
    unasked = {"response.audio_transcript.done", "error", "session.updated", "session.resumed", "marker"}
    assert FROM_SERVER.keys() == unasked | OPTIONAL_EVENTS


CLIP: Final = Clip(np.zeros(1600, np.float32), 1600)
HEARD: Final = Hypothesis("good", (Word("good", 1600, 3200, 0.9),), "en", 0.9)
EVENTS: Final[list[Event]] = [
    UtteranceStarted(2, 1600),
    UtteranceEnded(2, 3200, Reason.SILENCE),
    PartialTranscript(2, 1600, "good", 4),
    FinalTranscript(2, CLIP, Reason.SILENCE, HEARD),
    AudioCleared(1600, 3200),
    MarkerReached("question-7"),
    LagReported(1200),
    SpeakersRevised((SpeakerChange(2, "A", ((1600, 3200, "B"),)),)),
    StreamClosed(3200, 1600, 1600, 0, 1),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_has_the_fields_of_its_example(event: Event) -> None:
    everything = SessionConfig(SessionOptions(asr=TranscriptionOptions(words=True)), events=OPTIONAL_EVENTS)
    message: Any = NativeOutput("5f1c", everything).message_of(event)
    example = FROM_SERVER[message["type"]]
    assert example.keys() - {"event_id", "seq"} == message.keys()
    if "words" in message:
        assert example["words"][0].keys() == message["words"][0].keys()
    if "items" in message:
        assert example["items"][0].keys() == message["items"][0].keys()
        assert example["items"][0]["words"][0].keys() == message["items"][0]["words"][0].keys()


def test_the_example_of_a_greeting_is_what_the_server_says() -> None:
    greeting = FROM_SERVER["session.created"]
    asked = {"events": greeting["session"]["events"]}
    assert SessionConfig(DEFAULTS.session_options()).merged(asked).effective() == greeting["session"]
    assert greeting["limits"] == {"max_message_bytes": DEFAULTS.max_message_bytes}
    assert list(greeting["recognizer"]) == [field.name for field in fields(ModelInfo)]


def test_an_error_in_a_finals_place_says_which_utterance_it_is_about() -> None:
    everything = SessionConfig(SessionOptions())
    message: Any = NativeOutput("5f1c", everything).message_of(TranscriptionFailed(2, 1600, 3200, "why"))
    assert message["error"].keys() == FROM_SERVER["error"]["error"].keys()
    assert {"item_id", "start_ms", "end_ms"} <= message.keys()


def test_the_example_of_an_error_is_what_the_server_says() -> None:
    error = ClientError("invalid_audio", "`audio` is not base64.", param="audio", event_id="my-17")
    assert {**FROM_SERVER["error"], **error.as_event()} == FROM_SERVER["error"]


def codes_of_audio(kind: type[AudioError]) -> set[str]:
    return {kind.code}.union(*(codes_of_audio(below) for below in kind.__subclasses__()))


def codes_in(tree: ast.Module) -> Iterator[str]:
    """First arguments of ClientError, and the field "code" of the typed error messages."""
    for node in ast.walk(tree):
        candidates: list[ast.expr] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ClientError":
            candidates = node.args[:1]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ErrorFields"):
            candidates = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        yield from (c.value for c in candidates if isinstance(c, ast.Constant) and isinstance(c.value, str))


def test_the_codes_of_errors_are_those_of_the_page() -> None:
    doors = (ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.glob("server/**/*.py"))
    sent = codes_of_audio(AudioError).union(*map(codes_in, doors))
    assert ERROR_ROWS.keys() <= sent
    others = {code for row in rows(section(page("docs/realtime.md"), "Errors")) for code in codes(row[0])}
    others |= {code for row in rows(section(page("docs/rest.md"), "Errors")) for code in codes(row[1])}
    assert sent <= ERROR_ROWS.keys() | RESERVED | others


@pytest.mark.parametrize(
    "error",
    [
        models_not_ready(),
        model_unavailable(""),
        overloaded(""),
        restarting(),
        resume_unknown(),
        internal(""),
        session_limit_reached(1, 1.0),
        rate_limited("", 1.0),
    ],
)
def test_an_error_closes_as_the_page_says(error: ClientError) -> None:
    assert ERROR_ROWS[error.code][2].endswith(f"closes {error.close}")


def test_the_codes_of_closing_are_those_of_the_page() -> None:
    documented = [int(row[0]) for row in rows(section(PROTOCOL, "Close codes"))]
    used = {code for name, code in vars(server.errors).items() if name.startswith("CLOSE_")}
    assert documented == sorted(used)


# Links


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"""(?:\]\(|src=")([^)"\s]+)""", text):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        leads_to = path.parent / target if target else path
        assert leads_to.exists(), link
        assert not anchor or anchor in anchors(leads_to.read_text(encoding="utf-8")), link


def test_every_command_of_entrypoint_in_the_documents_exists() -> None:
    script = page("entrypoint.sh")
    (usage,) = re.findall(r"<<'TEXT'\n(.+?)\nTEXT\n", script, re.S)
    known = set(re.findall(r"^  ([a-z]+)(?: |$)", usage, re.M))
    named = {
        command
        for path in PAGES
        for command in re.findall(r"(?:`|^| )\./entrypoint\.sh ([a-z]+)", path.read_text("utf-8"), re.M)
    }
    assert named <= known
    handled = re.findall(r"^    ([a-z |]+)\) (?:set_up|demo|command_line)", script, re.M)
    assert {"convert", "transcribe"} < named & known
    assert all(any(command in each.split(" | ") for each in handled) for command in named)


def test_every_bound_has_one_row() -> None:
    for heading in re.findall(r"^## (.+)$", page("docs/bounds.md"), re.M):
        names = [row[0] for row in rows(section(page("docs/bounds.md"), heading))]
        assert len(names) == len(set(names)), heading
