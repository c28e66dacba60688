"""Test that sessions with faults receive the same as without. `python -m tests.faults` runs more of them."""

from pathlib import Path

import pytest
import uvloop

from tests.faults.fault_plan import LINE, Fault
from tests.faults.run import Plan, can_survive, report, run

PLAN = Plan(120, seed=5, recognizer_every=40, server_every=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sessions_with_faults_receive_what_they_would_without(tmp_path: Path) -> None:
    result = uvloop.run(run(PLAN, tmp_path))
    story = report(PLAN, result)
    assert not result.failures, story
    assert not result.tracebacks, story
    kills = {Fault.KILL_RECOGNIZER, *([Fault.KILL_SERVER] if can_survive() else [])}
    assert {*LINE, *kills, "library: cut"} <= result.met.keys(), story
    assert result.recognizer_kills, story
    assert bool(result.server_kills) == can_survive(), story
    assert result.finals > PLAN.sessions, story
