"""What follows from each message and each close: which words are shown, and where the next session begins."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

Step = Sequence[Any]  # what is done, and with what

DRIVE = """
async ({ Session }, steps, load) => {
  const { Backlog } = await load("send_buffer");
  const backlog = new Backlog(1 << 20);
  const session = new Session(backlog, 0);
  const log = [];
  const does = {
    hear: (message) => log.push(...session.receive(message)),
    close: ([code, reason]) => log.push(...session.closed(code, reason)),
    speak: ([from, to]) => {
      for (let ms = from; ms < to; ms += 40) {
        backlog.add({ sound: new Int16Array(40), startMs: ms, endMs: ms + 40 });
      }
      while (backlog.next());
    },
    end: (ms) => session.end(ms),
    query: () => log.push(session.query),
    unsent: () => {
      const item = backlog.next();
      log.push(item ? item.startMs : null);
    },
    offset: () => log.push(session.offsetMs),
  };
  for (const [name, argument] of steps) does[name](argument);
  return log;
}
"""


async def drive(modules: Modules, *steps: Step) -> list[Any]:
    log: list[Any] = await modules.run("session_state", DRIVE, steps)
    return log


def hear(type_: str, seq: int, **fields: Any) -> Step:
    return ["hear", {"type": type_, "seq": seq, **fields}]


CREATED = hear("session.created", 1, resume_token="T", recognizer={})
UNKNOWN = hear("error", 0, message="unknown", error={"code": "resume_unknown", "message": "unknown"})


def started(seq: int, item: str, ms: int) -> Step:
    return hear("input_audio_buffer.speech_started", seq, item_id=item, audio_start_ms=ms)


def final(seq: int, item: str, start: int, end: int, text: str = "hello") -> Step:
    words = [{"word": text, "start_ms": start, "end_ms": end, "confidence": 0.5}]
    fields = {"transcript": text, "start_ms": start, "end_ms": end, "words": words, "language": "en"}
    return hear("response.audio_transcript.done", seq, item_id=item, **fields)


def notes(log: list[Any]) -> list[str]:
    return [each["note"] for each in log if isinstance(each, dict) and "note" in each]


async def test_partials_and_finals_are_told_with_their_places(modules: Modules) -> None:
    partial = hear("transcript.partial", 3, item_id="a", text="he𝄞llo", stable_chars=3, start_ms=100)
    log = await drive(modules, CREATED, started(2, "a", 100), partial, final(4, "a", 100, 900))
    assert notes(log) == ["live", "speech", "partial", "final"]
    assert (log[2]["text"], log[2]["stable"]) == ("he𝄞llo", 4), "a string counts in UTF-16"
    assert log[3]["words"] == [{"text": "hello", "startMs": 100, "endMs": 900, "confidence": 0.5}]


async def test_a_message_is_told_once(modules: Modules) -> None:
    log = await drive(modules, CREATED, final(2, "a", 0, 400), final(2, "a", 0, 400))
    assert notes(log) == ["live", "final"]


async def test_a_cut_line_is_gone_on_with_from_where_the_server_is(modules: Modules) -> None:
    resumed = ["hear", {"type": "session.resumed", "seq": 2, "received_ms": 80, "replayed": 0}]
    speech = ["speak", [0, 200]]
    log = await drive(
        modules, CREATED, speech, final(2, "a", 0, 40), ["close", [1006, ""]], ["query"], resumed, ["unsent"]
    )
    assert notes(log) == ["live", "final", "cut", "live"]
    assert log[3] == {"resume": "T", "ack": "2"}
    assert log[-1] == 80


async def test_a_server_that_forgot_hears_again_what_has_no_words_yet(modules: Modules) -> None:
    log = await drive(
        modules,
        CREATED,
        ["speak", [0, 2000]],
        started(2, "a", 0),
        final(3, "a", 0, 800),
        started(4, "b", 1000),
        hear("input_audio_buffer.acknowledged", 5, received_ms=1900),
        UNKNOWN,
        ["close", [4000, "resume_unknown"]],
        ["offset"],
        ["unsent"],
        ["query"],
        hear("session.created", 1, resume_token="U", recognizer={}),
        final(2, "c", 0, 500),
    )
    assert notes(log) == ["live", "speech", "final", "speech", "dropped", "forgotten", "live", "final"]
    assert log[4] == {"note": "dropped", "id": "b"}
    assert log[6:9] == [800, 800, {}], "from the end of the last final on"
    assert (log[-1]["startMs"], log[-1]["endMs"]) == (800, 1300)


async def test_long_silence_is_not_kept(modules: Modules) -> None:
    acknowledged = hear("input_audio_buffer.acknowledged", 2, received_ms=60_000)
    log = await drive(
        modules, CREATED, ["speak", [0, 60_000]], acknowledged, ["close", [4000, ""]], ["offset"]
    )
    assert notes(log) == ["live", "failed"]
    log = await drive(
        modules, CREATED, ["speak", [0, 60_000]], acknowledged, UNKNOWN, ["close", [4000, ""]], ["offset"]
    )
    assert log[-1] == 47_000


async def test_the_end_is_an_end_only_if_it_was_asked_for(modules: Modules) -> None:
    assert notes(await drive(modules, CREATED, ["end", 40], ["close", [1000, ""]])) == ["live", "ended"]
    assert notes(await drive(modules, CREATED, ["close", [1000, ""]])) == ["live", "failed"]


async def test_a_refusal_is_told_in_the_servers_words(modules: Modules) -> None:
    refusal = hear("error", 0, message="No", error={"code": "invalid_value", "message": "No model here"})
    log = await drive(modules, refusal, ["close", [4000, "invalid_value"]])
    assert log == [{"note": "failed", "message": "No model here"}]


async def test_a_segment_that_failed_is_dropped_and_told(modules: Modules) -> None:
    fields = {"item_id": "a", "start_ms": 0, "end_ms": 400, "message": "it failed", "error": {}}
    log = await drive(modules, CREATED, started(2, "a", 0), hear("error", 3, **fields))
    assert notes(log) == ["live", "speech", "dropped", "trouble"]


async def test_a_server_without_resumption_gets_a_new_session(modules: Modules) -> None:
    plain = hear("session.created", 1, resume_token=None, recognizer={})
    log = await drive(modules, plain, ["speak", [0, 400]], ["close", [1006, ""]], ["query"], ["unsent"])
    assert notes(log) == ["live", "cut"]
    assert log[-2:] == [{}, 0]
