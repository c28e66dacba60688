"""Test that a scenario depends only on its seed."""

from audio.codecs import Format
from tests.faults.scenario import play


def test_a_play_is_the_same_whenever_it_is_made() -> None:
    assert play(1, 3) == play(1, 3)
    assert play(1, 3).sound != play(2, 3).sound


def test_plays_are_whole_milliseconds_of_any_format() -> None:
    plays = [play(1, number) for number in range(30)]
    assert {one.encoding.format for one in plays} == set(Format)
    for one in plays:
        assert len(one.sound) == one.ms * one.ms_bytes
        assert one.between(10, 20) + one.between(20, one.ms) == one.sound[10 * one.ms_bytes :]
        assert all(0 <= command.at_ms <= one.ms for command in one.commands)
