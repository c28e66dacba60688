"""The session state returns the events of messages and closes, and resumes at the right position."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

MAX_SAFE = 2**53 - 1
Step = Sequence[Any]  # an action and its argument

DRIVE = """
async ({ SessionState }, steps, load) => {
  const { SendBuffer } = await load("send_buffer");
  const buffer = new SendBuffer(1 << 20);
  const session = new SessionState(buffer, 0);
  const log = [];
  const actions = {
    receive: (message) => log.push(...session.receive(message)),
    close: ([code, reason]) => log.push(...session.closed(code, reason)),
    record: ([from, to]) => {
      for (let ms = from; ms < to; ms += 40) {
        buffer.add({ audio: new Int16Array(40), startMs: ms, endMs: ms + 40 });
      }
      while (buffer.next());
    },
    end: (ms) => session.end(ms),
    query: () => log.push(session.query),
    unsent: () => {
      const item = buffer.next();
      log.push(item ? item.startMs : null);
    },
    offset: () => log.push(session.offsetMs),
    timeout: () => log.push(session.silenceTimeoutMs === Infinity ? null : session.silenceTimeoutMs),
  };
  for (const [name, argument] of steps) actions[name](argument);
  return log;
}
"""


async def drive(modules: Modules, *steps: Step) -> list[Any]:
    log: list[Any] = await modules.run("session_state", DRIVE, steps)
    return log


def receive(type_: str, seq: int, **fields: Any) -> Step:
    return ["receive", {"type": type_, "seq": seq, **fields}]


CREATED = receive("session.created", 1, resume_token="T", recognizer={})
UNKNOWN = receive("error", 0, message="unknown", error={"code": "resume_unknown", "message": "unknown"})


def started(seq: int, item: str, ms: int) -> Step:
    return receive("input_audio_buffer.speech_started", seq, item_id=item, audio_start_ms=ms)


def final(seq: int, item: str, start: int, end: int, text: str = "hello") -> Step:
    words = [{"word": text, "start_ms": start, "end_ms": end, "confidence": 0.5}]
    fields = {"transcript": text, "start_ms": start, "end_ms": end, "words": words, "language": "en"}
    return receive("response.audio_transcript.done", seq, item_id=item, **fields)


def event_types(log: list[Any]) -> list[str]:
    return [each["type"] for each in log if isinstance(each, dict) and "type" in each]


async def test_partial_has_the_speaker_of_the_server(modules: Modules) -> None:
    fields = {"item_id": "a", "text": "hello", "stable_chars": 0, "start_ms": 100}
    log = await drive(
        modules, CREATED, started(2, "a", 100), receive("transcript.partial", 3, speaker="B", **fields)
    )
    assert log[2]["speaker"] == "B"


async def test_partials_and_finals_have_positions(modules: Modules) -> None:
    partial = receive("transcript.partial", 3, item_id="a", text="he𝄞llo", stable_chars=3, start_ms=100)
    log = await drive(modules, CREATED, started(2, "a", 100), partial, final(4, "a", 100, 900))
    assert event_types(log) == ["connected", "speech_start", "partial", "final"]
    assert (log[2]["text"], log[2]["stable"]) == ("he𝄞llo", 4), "a JavaScript string counts UTF-16 units"
    assert log[2]["speaker"] is None
    word = {"text": "hello", "startMs": 100, "endMs": 900, "confidence": 0.5}
    assert log[3]["words"] == [{**word, "speaker": None}]


async def test_revised_speakers_have_positions(modules: Modules) -> None:
    words = [{"start_ms": 100, "end_ms": 900, "speaker": "B"}]
    items = [{"item_id": "a", "speaker": "B", "words": words}, {"item_id": "b", "speaker": "C"}]
    log = await drive(modules, CREATED, receive("speakers.revised", 2, items=items))
    assert log[1] == {
        "type": "revised",
        "items": [
            {"id": "a", "spans": [{"startMs": 100, "endMs": 900, "speaker": "B"}]},
            {"id": "b", "spans": [{"startMs": 0, "endMs": MAX_SAFE, "speaker": "C"}]},
        ],
    }


async def test_repeated_message_is_ignored(modules: Modules) -> None:
    log = await drive(modules, CREATED, final(2, "a", 0, 400), final(2, "a", 0, 400))
    assert event_types(log) == ["connected", "final"]


async def test_resumed_session_continues_at_the_received_position(modules: Modules) -> None:
    resumed = ["receive", {"type": "session.resumed", "seq": 2, "received_ms": 80, "replayed": 0}]
    speech = ["record", [0, 200]]
    log = await drive(
        modules, CREATED, speech, final(2, "a", 0, 40), ["close", [1006, ""]], ["query"], resumed, ["unsent"]
    )
    assert event_types(log) == ["connected", "final", "disconnected", "connected"]
    assert log[3] == {"resume": "T", "ack": "2"}
    assert log[-1] == 80


async def test_lost_session_is_followed_by_audio_without_final(modules: Modules) -> None:
    log = await drive(
        modules,
        CREATED,
        ["record", [0, 2000]],
        started(2, "a", 0),
        final(3, "a", 0, 800),
        started(4, "b", 1000),
        receive("input_audio_buffer.acknowledged", 5, received_ms=1900),
        UNKNOWN,
        ["close", [4000, "resume_unknown"]],
        ["offset"],
        ["unsent"],
        ["query"],
        receive("session.created", 1, resume_token="U", recognizer={}),
        final(2, "c", 0, 500),
    )
    assert event_types(log) == [
        "connected",
        "speech_start",
        "final",
        "speech_start",
        "dropped",
        "session_lost",
        "connected",
        "final",
    ]
    assert log[4] == {"type": "dropped", "id": "b"}
    assert log[6:9] == [800, 800, {}], "from the end of the last final"
    assert (log[-1]["startMs"], log[-1]["endMs"]) == (800, 1300)


async def test_long_silence_is_not_sent_again(modules: Modules) -> None:
    acknowledged = receive("input_audio_buffer.acknowledged", 2, received_ms=60_000)
    log = await drive(
        modules, CREATED, ["record", [0, 60_000]], acknowledged, ["close", [4000, ""]], ["offset"]
    )
    assert event_types(log) == ["connected", "failed"]
    log = await drive(
        modules, CREATED, ["record", [0, 60_000]], acknowledged, UNKNOWN, ["close", [4000, ""]], ["offset"]
    )
    assert log[-1] == 47_000


async def test_unrequested_end_is_a_failure(modules: Modules) -> None:
    assert event_types(await drive(modules, CREATED, ["end", 40], ["close", [1000, ""]])) == [
        "connected",
        "ended",
    ]
    assert event_types(await drive(modules, CREATED, ["close", [1000, ""]])) == ["connected", "failed"]


async def test_refusal_has_the_message_of_the_server(modules: Modules) -> None:
    refusal = receive("error", 0, message="No", error={"code": "invalid_value", "message": "No model here"})
    log = await drive(modules, refusal, ["close", [4000, "invalid_value"]])
    assert log == [{"type": "failed", "message": "No model here"}]


async def test_failed_utterance_is_dropped_with_a_warning(modules: Modules) -> None:
    fields = {"item_id": "a", "start_ms": 0, "end_ms": 400, "message": "it failed", "error": {}}
    log = await drive(modules, CREATED, started(2, "a", 0), receive("error", 3, **fields))
    assert event_types(log) == ["connected", "speech_start", "dropped", "warning"]


async def test_server_without_resume_gets_a_new_session(modules: Modules) -> None:
    plain = receive("session.created", 1, resume_token=None, recognizer={})
    log = await drive(modules, plain, ["record", [0, 400]], ["close", [1006, ""]], ["query"], ["unsent"])
    assert event_types(log) == ["connected", "disconnected"]
    assert log[-2:] == [{}, 0]


async def test_working_server_may_be_silent_for_long_after_the_end(modules: Modules) -> None:
    acknowledged = receive("input_audio_buffer.acknowledged", 2, received_ms=4000)
    log = await drive(
        modules,
        CREATED,
        ["timeout", None],
        ["record", [0, 4000]],
        ["timeout", None],
        acknowledged,
        ["timeout", None],
        ["end", 4000],
        ["timeout", None],
    )
    assert log[1:] == [None, 10_000, None, 30_000]
    plain = receive("session.created", 1, resume_token=None, recognizer={})
    log = await drive(modules, plain, ["end", 40], ["timeout", None])
    assert log[1:] == [None], "without a token it would begin again"


async def test_choices_come_before_the_audio_of_each_new_session(modules: Modules) -> None:
    function = """async ({ SessionState }, settings, load) => {
      const { SendBuffer } = await load("send_buffer");
      const greeting = (each) => new SessionState(new SendBuffer(1), 0, each).greeting;
      return [greeting(null), JSON.parse(greeting(settings))];
    }"""
    settings = {"hotwords": ["Silero"]}
    expected = [None, {"type": "session.update", "session": settings}]
    assert await modules.run("session_state", function, settings) == expected
