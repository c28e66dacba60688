"""Audio is cut into packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.packetizer import MAX_PACKET, MAX_RATE, MIN_RATE, WIDTHS, Packet, Packetizer, SampleFormat

PCM16 = SampleFormat()
ENCODINGS = st.builds(
    SampleFormat,
    st.sampled_from(sorted(map(str, WIDTHS))),
    st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]) | st.integers(MIN_RATE, MAX_RATE),
    st.integers(1, 8),
)


@given(ENCODINGS, st.lists(st.binary(max_size=5000)))
def test_packets_hold_the_sound_however_it_came_in_pieces(
    encoding: SampleFormat, pieces: list[bytes]
) -> None:
    packetizer = Packetizer(encoding)
    packets = [packet for piece in pieces for packet in packetizer.push(piece)]
    early = sum(map(len, pieces)) - sum(packet.size for packet in packets)
    packets += packetizer.flush()
    assert b"".join(packet.audio for packet in packets) == b"".join(pieces)
    assert early <= encoding.bytes_of(1) + encoding.frame_bytes


@given(ENCODINGS, st.integers(1, 300), st.integers(1, 100_000))
def test_a_packet_ends_where_the_server_counts_whole_milliseconds(
    encoding: SampleFormat, chunk: int, size: int
) -> None:
    packetizer = Packetizer(encoding)
    sent = 0
    for start in range(0, size, size // chunk + 1):
        for packet in packetizer.push(bytes(min(size // chunk + 1, size - start))):
            sent += packet.size
            assert sent % encoding.frame_bytes == 0
            samples = int(sent // encoding.frame_bytes * 16_000 / encoding.sample_rate + 0.5)
            assert round(samples * 1000 / 16_000) == packet.end_ms
            assert packet.start_ms < packet.end_ms <= packetizer.position


@given(ENCODINGS, st.integers(0, 300_000))
def test_long_sound_is_cut(encoding: SampleFormat, size: int) -> None:
    assert all(packet.size <= MAX_PACKET for packet in Packetizer(encoding).push(bytes(size)))


def test_less_than_a_millisecond_waits_for_the_rest_of_it() -> None:
    packetizer = Packetizer(PCM16)
    assert packetizer.push(bytes(31)) == []
    assert packetizer.push(bytes(34)) == [Packet(bytes(64), PCM16, 0, 2)]
    assert packetizer.flush() == [Packet(bytes(1), PCM16, 2, 3)]
    assert packetizer.flush() == []


def test_another_encoding_begins_where_the_one_before_has_ended() -> None:
    packetizer, other = Packetizer(PCM16), SampleFormat("pcmu", 8_000)
    packetizer.push(bytes(40))
    assert packetizer.change(PCM16) == []
    assert packetizer.change(other) == [Packet(bytes(8), PCM16, 1, 2)]
    assert packetizer.push(bytes(80)) == [Packet(bytes(80), other, 2, 12)]


@given(ENCODINGS.filter(lambda encoding: encoding.sample_rate % 1000 == 0), st.integers(1, 19))
def test_the_rest_of_a_packet_begins_at_its_place(encoding: SampleFormat, ms: int) -> None:
    packet = Packet(bytes(encoding.bytes_of(20)), encoding, 100, 120)
    assert packet.after(100 + ms) == Packet(bytes(encoding.bytes_of(20 - ms)), encoding, 100 + ms, 120)


@pytest.mark.parametrize(
    "settings",
    [{"format": "mp3"}, {"sample_rate": 7}, {"sample_rate": "8000"}, {"channels": 0}, {"format": ["pcmu"]}],
)
def test_a_bad_value_changes_nothing(settings: dict[str, object]) -> None:
    assert PCM16.changed({"sample_rate": 8_000, "format": "pcmu"} | settings) == PCM16


def test_settings_that_say_nothing_of_it_leave_an_encoding_as_it_is() -> None:
    assert PCM16.changed({"language": "en"}) == PCM16
    assert PCM16.changed({"sample_rate": 8_000}) == SampleFormat("pcm16", 8_000, 1)
