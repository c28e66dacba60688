"""Test that intact frames are read, and that torn and damaged ones are detected."""

from hypothesis import given
from hypothesis import strategies as st

from journal.framing import OVERHEAD, frame, read_frames

entries = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=6)


def written(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(frame(kind, payload) for kind, payload in parts)


@given(entries)
def test_frames_are_read_as_they_were_written(parts: list[tuple[int, bytes]]) -> None:
    read = list(read_frames(written(parts)))
    assert [(record.kind, record.payload) for record in read] == parts
    assert not parts or read[-1].end == len(written(parts))


@given(entries, st.integers(0, 500))
def test_all_complete_frames_of_a_torn_file_are_read(parts: list[tuple[int, bytes]], kept: int) -> None:
    read = list(read_frames(written(parts)[:kept]))
    ends = [len(written(parts[: n + 1])) for n in range(len(parts))]
    assert [record.end for record in read] == [end for end in ends if end <= kept]


@given(entries.filter(bool), st.integers(0), st.integers(1, 255))
def test_reading_stops_before_a_damaged_frame(parts: list[tuple[int, bytes]], place: int, flip: int) -> None:
    data = bytearray(written(parts))
    place %= len(data)
    data[place] ^= flip
    read = [(record.kind, record.payload) for record in read_frames(bytes(data))]
    assert read == parts[: len(read)]
    assert sum(OVERHEAD + len(payload) for _, payload in read) <= place


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert sum(OVERHEAD + len(record.payload) for record in read_frames(data)) <= len(data)
