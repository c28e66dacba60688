"""Sound is held until it is certain that nobody will need it again, and never more than fits."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

Step = Sequence[Any]  # what is done, and with what

DRIVE = """
({ Backlog }, steps) => {
  const backlog = new Backlog(1000);
  const log = [];
  const sound = (startMs) => ({ sound: new Int16Array(40), startMs, endMs: startMs + 40 });
  const does = {
    add: (startMs) => backlog.add(sound(startMs)),
    command: (ms) => backlog.add({ text: "commit", startMs: ms, endMs: ms }),
    send: () => {
      for (let item = backlog.next(); item; item = backlog.next()) {
        log.push([item.text ?? "sound", item.startMs, item.endMs]);
      }
    },
    arrived: (ms) => backlog.arrived(ms),
    settle: (ms) => backlog.settle(ms),
    rewind: (ms) => backlog.rewind(ms),
    look: () => log.push([backlog.size, backlog.startMs ?? null, backlog.isFull, backlog.unansweredMs]),
  };
  for (const [name, argument] of steps) does[name](argument);
  return log;
}
"""


async def drive(modules: Modules, *steps: Step) -> list[list[Any]]:
    log: list[list[Any]] = await modules.run("send_buffer", DRIVE, steps)
    return log


async def test_what_is_added_is_sent_once_in_order(modules: Modules) -> None:
    log = await drive(modules, ["add", 0], ["command", 40], ["add", 40], ["send"], ["send"])
    assert log == [["sound", 0, 40], ["commit", 40, 40], ["sound", 40, 80]]


async def test_after_a_cut_what_has_not_arrived_is_sent_again(modules: Modules) -> None:
    steps: list[Step] = [["add", 0], ["add", 40], ["command", 80], ["add", 80], ["send"]]
    log = await drive(modules, *steps, ["rewind", 80], ["send"])
    assert log[4:] == [["commit", 80, 80], ["sound", 80, 120]]


async def test_a_cut_within_a_packet_splits_it(modules: Modules) -> None:
    log = await drive(modules, ["add", 0], ["send"], ["rewind", 10], ["send"], ["look"])
    assert log[1:] == [["sound", 10, 40], [80, 0, False, 30]]


async def test_what_is_settled_is_forgotten_but_not_what_was_never_sent(modules: Modules) -> None:
    steps: list[Step] = [["add", 0], ["add", 40], ["send"], ["add", 80]]
    log = await drive(modules, *steps, ["settle", 200], ["look"])
    assert log[-1] == [80, 80, False, 0]


async def test_a_full_one_drops_what_has_arrived_and_keeps_the_rest(modules: Modules) -> None:
    added: list[Step] = [["add", 40 * i] for i in range(13)]  # 13 x 80 bytes
    assert (await drive(modules, *added, ["send"], ["look"]))[-1] == [1040, 0, True, 520]
    assert (await drive(modules, *added, ["send"], ["arrived", 80], ["look"]))[-1] == [960, 40, False, 440]
