"""Run many sessions at once, and compare each with a run without faults."""

import asyncio
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from server.settings import Settings
from tests.faults.fault_client import Caller, World
from tests.faults.fault_plan import Rates, Script, script
from tests.faults.library_run import told_by_library
from tests.faults.protocol_checker import Outcome, Wrong
from tests.faults.scenario import Play, play
from tests.faults.server import Server, running

AT_ONCE = 64
# Python logs this when the server is killed before its model process has received its task.
ORPHAN = "preparation_data = reduction.pickle.load(from_parent)"
SHOWN = 10  # failures that are printed in full
PER_PLAY = 8  # sessions with the same audio, each with its own faults
CALM = Script((), (100, 100), True, 0, None, False, ())


@dataclass(frozen=True, slots=True)
class Plan:
    """Describe a run.

    only: numbers of the sessions to run, in this order; empty for all
    recognizer_every, server_every: one in N sessions kills that process; 0 is never
    """

    sessions: int
    seed: int = 1
    only: tuple[int, ...] = ()
    recognizer_every: int = 60
    server_every: int = 500
    at_once: int = AT_ONCE

    @property
    def numbers(self) -> Iterable[int]:
        return self.only or range(self.sessions)

    @property
    def rates(self) -> Rates:
        return Rates(self.recognizer_every, self.server_every if can_survive() else 0)

    def play_of(self, number: int) -> int:
        return number % max(1, self.sessions // PER_PLAY)

    def again(self, number: int) -> str:
        """Return the command that runs one session alone."""
        return f"python -m tests.faults --sessions {self.sessions} --seed {self.seed} --only {number}"


@dataclass(slots=True)
class Result:
    """Hold the results of a run. failures: by number of the session; met: faults that happened, by name."""

    finals: int = 0
    heard_again: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)
    recognizer_kills: int = 0
    server_kills: int = 0
    slowest_start: float = 0.0  # seconds from a start of the server to /ready
    tracebacks: int = 0  # in the server's log
    log: str = ""


def can_survive() -> bool:
    """Return whether sessions survive the end of the server."""
    return "journal_dir" in Settings.model_fields


def settings(journal: Path) -> dict[str, str]:
    return {"JOURNAL_DIR": str(journal)} if can_survive() else {}


async def run(plan: Plan, folder: Path) -> Result:
    """Run all sessions. The servers write to the folder."""
    plays = {number: play(plan.seed, number) for number in {plan.play_of(n) for n in plan.numbers}}
    expected = await undisturbed(plays, folder / "calm", plan)
    result = Result()
    async with running(folder / "server", **settings(folder / "journal")) as server:
        world = World(server.url, server.kill_recognizer, server.kill, can_survive(), result.met)
        gate = asyncio.Semaphore(plan.at_once)

        async def one(number: int) -> None:
            play = plays[plan.play_of(number)]
            async with gate:
                try:
                    await compare(world, play, expected[play.number], number, plan, result)
                except (Wrong, TimeoutError) as error:
                    result.failures[number] = f"{type(error).__name__}: {error}"
                except Exception:  # a bug of these tests; the other sessions continue
                    result.failures[number] = traceback.format_exc()

        async with asyncio.TaskGroup() as group:
            for number in plan.numbers:
                group.create_task(one(number))
        settle(result, server)
    return result


async def undisturbed(plays: dict[int, Play], folder: Path, plan: Plan) -> dict[int, Outcome]:
    """Return the outcome of each scenario without faults."""
    async with running(folder, **settings(folder / "journal")) as server:
        world = World(server.url, server.kill_recognizer, server.kill)
        gate = asyncio.Semaphore(plan.at_once // 4 + 1)

        async def one(play: Play) -> Outcome:
            async with gate:
                return await Caller(world, play, CALM, play.number).run()

        outcomes = await asyncio.gather(*map(one, plays.values()))
    return dict(zip(plays, outcomes, strict=True))


async def compare(
    world: World, play: Play, expected: Outcome, number: int, plan: Plan, result: Result
) -> None:
    """Run one session with faults and compare its outcome. Raises Wrong and TimeoutError."""
    faults = script(plan.seed, number, play.ms, plan.rates)
    if faults.library:
        told, closed = await told_by_library(world, play, faults)
        outcome, due = Outcome(told, (), closed), as_library_tells(expected)
    else:
        caller = Caller(world, play, faults, number)
        outcome, due = await caller.run(), expected
        result.heard_again += caller.heard.again
    if (difference := outcome.difference(due)) is not None:
        raise Wrong(difference)
    result.finals += sum(row[0] == "final" for row in outcome.told)


def as_library_tells(expected: Outcome) -> Outcome:
    rows: list[tuple[object, ...]] = []
    for row in expected.told:
        match row:
            case ("final", _, text, start, end, reason, *_):
                rows.append(("final", text, start, end, reason))
            case ("failed", *_):
                rows.append(("failed",))
            case _:
                rows.append(row)
    return Outcome(tuple(rows), (), expected.closed)


def settle(result: Result, server: Server) -> None:
    result.recognizer_kills, result.server_kills = server.recognizer_kills, server.kills
    result.slowest_start = max(server.ready_seconds)
    result.log = server.log
    result.tracebacks = result.log.count("Traceback (most recent call last)") - result.log.count(ORPHAN)


def report(plan: Plan, result: Result) -> str:
    """Return the report. Each failure has the command that runs its session alone."""
    rows = {
        "sessions": len(list(plan.numbers)),
        "finals that were compared": result.finals,
        "messages that came again after a cut": result.heard_again,
        "recognizer killed": result.recognizer_kills,
        "server killed": result.server_kills,
        "its slowest start, s": round(result.slowest_start, 1),
        **{f"  {name}": count for name, count in sorted(result.met.items())},
        "tracebacks in the server's log": result.tracebacks,
        "sessions that broke a guarantee": len(result.failures),
    }
    failures = sorted(result.failures.items())[:SHOWN]
    return "\n".join(
        [
            *(f"{name:40} {count}" for name, count in rows.items()),
            *(
                f"\nsession {number}: {problem}\n  again: {plan.again(number)}"
                for number, problem in failures
            ),
        ]
    )
