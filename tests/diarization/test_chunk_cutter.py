"""Test that chunks cover a stream, whatever pieces it comes in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import Clip
from diarization.chunk_cutter import STEP_SAMPLES, ChunkCutter
from diarization.chunks import CHUNK_SAMPLES
from tests.examples import examples


def cut(length: int, pieces: list[int]) -> list[Clip]:
    samples = np.arange(length, dtype=np.float32)
    cutter, at = ChunkCutter(), 0
    chunks: list[Clip] = []
    for piece in [*pieces, length]:
        chunks += cutter.push(samples[at : at + piece])
        at = min(at + piece, length)
    return [*chunks, *cutter.finish()]


@examples(50)
@given(st.integers(0, 4 * CHUNK_SAMPLES), st.lists(st.integers(0, CHUNK_SAMPLES), max_size=4))
def test_chunks_cover_every_sample_and_do_not_depend_on_pieces(length: int, pieces: list[int]) -> None:
    chunks = cut(length, pieces)
    whole = cut(length, [])
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(chunk.start, chunk.end) for chunk in whole]
    assert max((chunk.end for chunk in chunks), default=0) == length
    assert [chunk.start for chunk in chunks] == [STEP_SAMPLES * number for number in range(len(chunks))]
    for chunk in chunks:
        assert 0 < len(chunk.samples) <= CHUNK_SAMPLES
        assert chunk.samples[0] == chunk.start
    assert all(len(chunk.samples) == CHUNK_SAMPLES for chunk in chunks[:-1])
