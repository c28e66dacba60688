"""Test the simulated clients against every protocol of a real server."""

import argparse
import asyncio

import numpy as np
import pytest

from bench import ROOT
from bench.load.load import record_tapes
from bench.load.message_tape import Tape
from bench.load.simulated_client import PROTOCOLS, Behaviour, ClientResult, SimulatedClient
from tests.server.live_server import Server, free_settings, serve


def tape(*, binary: bool) -> Tape:
    options = argparse.Namespace(
        audio=ROOT / "test.wav", rate=16_000, chunk_ms=100, gap_ms=(800, 900), tape_seconds=8, tapes=1
    )
    options.most_files, options.binary, options.seed = 3, binary, 1
    return record_tapes(options)[0]


async def run(server: Server, protocol: str, behaviour: Behaviour, frames: int = 40) -> ClientResult:
    audio = tape(binary=PROTOCOLS[protocol].binary)
    rng = np.random.default_rng(1)
    return await SimulatedClient(server.ws, PROTOCOLS[protocol], audio, 0, frames, behaviour).run(
        float(rng.uniform(0.3, 0.5))
    )


@pytest.mark.slow
async def test_clients_of_every_protocol_lose_nothing() -> None:
    with serve(free_settings(resume_seconds=20)) as server:
        *steady, back, slow, cut, silent = await asyncio.gather(
            *(run(server, protocol, Behaviour.STEADY) for protocol in PROTOCOLS),
            run(server, "native", Behaviour.RESUMES),
            run(server, "native binary", Behaviour.SLOW),
            run(server, "realtime", Behaviour.DISCONNECTS, frames=10),
            run(server, "listen", Behaviour.SILENT, frames=10),
        )
    assert [dict(one.errors) for one in (*steady, back, slow, cut, silent)] == [{}] * (len(PROTOCOLS) + 4)
    assert all(one.finals for one in steady)
    assert back.connects == 2
    for one in (back, slow):
        assert one.score is not None
        assert (one.score.lost, one.score.doubled) == (0, 0)
