"""Audio is buffered until it cannot be needed again, within a bound."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

Step = Sequence[Any]  # an action and its argument

DRIVE = """
({ SendBuffer }, steps) => {
  const buffer = new SendBuffer(1000);
  const log = [];
  const packet = (startMs) => ({ audio: new Int16Array(40), startMs, endMs: startMs + 40 });
  const actions = {
    add: (startMs) => buffer.add(packet(startMs)),
    command: (ms) => buffer.add({ text: "commit", startMs: ms, endMs: ms }),
    send: () => {
      for (let item = buffer.next(); item; item = buffer.next()) {
        log.push([item.text ?? "audio", item.startMs, item.endMs]);
      }
    },
    acknowledge: (ms) => buffer.acknowledge(ms),
    dropBefore: (ms) => buffer.dropBefore(ms),
    rewind: (ms) => buffer.rewind(ms),
    inspect: () => log.push([buffer.size, buffer.startMs ?? null, buffer.isFull, buffer.unacknowledgedMs]),
  };
  for (const [name, argument] of steps) actions[name](argument);
  return log;
}
"""


async def drive(modules: Modules, *steps: Step) -> list[list[Any]]:
    log: list[list[Any]] = await modules.run("send_buffer", DRIVE, steps)
    return log


async def test_items_are_sent_once_in_order(modules: Modules) -> None:
    log = await drive(modules, ["add", 0], ["command", 40], ["add", 40], ["send"], ["send"])
    assert log == [["audio", 0, 40], ["commit", 40, 40], ["audio", 40, 80]]


async def test_rewind_sends_what_was_not_received_again(modules: Modules) -> None:
    steps: list[Step] = [["add", 0], ["add", 40], ["command", 80], ["add", 80], ["send"]]
    log = await drive(modules, *steps, ["rewind", 80], ["send"])
    assert log[4:] == [["commit", 80, 80], ["audio", 80, 120]]


async def test_rewind_within_a_packet_splits_it(modules: Modules) -> None:
    log = await drive(modules, ["add", 0], ["send"], ["rewind", 10], ["send"], ["inspect"])
    assert log[1:] == [["audio", 10, 40], [80, 0, False, 30]]


async def test_drop_before_keeps_unsent_items(modules: Modules) -> None:
    steps: list[Step] = [["add", 0], ["add", 40], ["send"], ["add", 80]]
    log = await drive(modules, *steps, ["dropBefore", 200], ["inspect"])
    assert log[-1] == [80, 80, False, 0]


async def test_full_buffer_drops_only_acknowledged_audio(modules: Modules) -> None:
    added: list[Step] = [["add", 40 * i] for i in range(13)]  # 13 x 80 bytes
    assert (await drive(modules, *added, ["send"], ["inspect"]))[-1] == [1040, 0, True, 520]
    assert (await drive(modules, *added, ["send"], ["acknowledge", 80], ["inspect"]))[-1] == [
        960,
        40,
        False,
        440,
    ]
