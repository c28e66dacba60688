"""Visitors behave as they should at every door of a real server."""

import argparse
import asyncio

import numpy as np
import pytest

from bench import ROOT
from bench.load.load import record_tapes
from bench.load.message_tape import Tape
from bench.load.simulated_client import DOORS, Manner, SimulatedClient, Visit
from tests.server.live_server import Server, free_settings, serve


def tape(*, binary: bool) -> Tape:
    options = argparse.Namespace(
        audio=ROOT / "test.wav", rate=16_000, chunk_ms=100, gap_ms=(800, 900), tape_seconds=8, tapes=1
    )
    options.most_files, options.binary, options.seed = 3, binary, 1
    return record_tapes(options)[0]


async def visit(server: Server, door: str, manner: Manner, frames: int = 40) -> Visit:
    said = tape(binary=DOORS[door].binary)
    rng = np.random.default_rng(1)
    return await SimulatedClient(server.ws, DOORS[door], said, 0, frames, manner).run(
        float(rng.uniform(0.3, 0.5))
    )


@pytest.mark.slow
async def test_visitors_are_heard_at_every_door_whatever_they_do() -> None:
    with serve(free_settings(resume_seconds=20)) as server:
        *steady, back, slow, gone, silent = await asyncio.gather(
            *(visit(server, door, Manner.STEADY) for door in DOORS),
            visit(server, "native", Manner.RETURNS),
            visit(server, "native binary", Manner.SLOW),
            visit(server, "realtime", Manner.LEAVES, frames=10),
            visit(server, "listen", Manner.SILENT, frames=10),
        )
    assert [dict(one.errors) for one in (*steady, back, slow, gone, silent)] == [{}] * (len(DOORS) + 4)
    assert all(one.finals for one in steady)
    assert back.connects == 2
    for one in (back, slow):
        assert one.score is not None
        assert (one.score.lost, one.score.doubled) == (0, 0)
