"""Test the load generator against a small server."""

import numpy as np
import pytest

from bench.accuracy.audio_io import Samples
from bench.load.fast_ws_client import HandshakeError
from bench.load.load_generator import LoadResult, create_streams, run_load, settings_frame
from bench.load.message_tape import Tape, record_tape
from tests.client.fake_server import standin

RATE = 16_000
SETTINGS = settings_frame(["transcript.partial", "session.closed"], 300)


def tape(*, binary: bool, chunk_ms: int = 20) -> Tape:
    tone = np.sin(np.arange(RATE * 3 // 10) * 0.3) * 0.5
    utterances: list[Samples] = [tone.astype(np.float32)] * 2
    rng = np.random.default_rng(3)
    return record_tape(utterances, rng, rate=RATE, chunk_ms=chunk_ms, gap_ms=(500, 600), binary=binary)


def test_the_same_seed_creates_the_same_streams() -> None:
    tapes = [tape(binary=True)]
    phases = [
        [stream.phase for stream in create_streams(tapes, 20, 1.0, np.random.default_rng(seed), LoadResult())]
        for seed in (1, 1, 2)
    ]
    assert phases[0] == phases[1] == sorted(phases[0])
    assert phases[0] != phases[2]
    assert all(0 <= phase < 0.02 for phase in phases[0])


@pytest.mark.slow
@pytest.mark.parametrize("binary", [True, False])
async def test_every_utterance_is_found_once(binary: bool) -> None:
    async with standin("a b c") as server:
        result = await run_load(
            [tape(binary=binary)], server.url, streams=4, seconds=1.2, settings=SETTINGS, seed=1
        )
    score = result.score
    assert score.utterances > 0
    assert (score.lost, score.doubled, score.split, score.strays) == (0, 0, 0, 0)
    assert result.missing_ms == 0
    assert len(result.pacing_lag_ms) == 240
    assert dict(result.closes) == {1000: 4}
    assert not result.errors


async def test_a_server_that_refuses_is_reported() -> None:
    async with standin() as server:
        url = server.url.replace("/ws/stt", "/ws/loading")
        result = await run_load([tape(binary=True)], url, streams=2, seconds=1.0, settings=SETTINGS, seed=1)
    assert dict(result.closes) == {1013: 2}
    assert result.errors.total() == 2


async def test_a_missing_server_raises() -> None:
    with pytest.raises(HandshakeError, match="No stream could be opened"):
        await run_load(
            [tape(binary=True)], "ws://127.0.0.1:1/ws", streams=2, seconds=1.0, settings=SETTINGS, seed=1
        )
