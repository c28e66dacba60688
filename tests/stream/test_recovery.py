"""What the files of a journal tell of a session that was cut off."""

import numpy as np
import pytest

from asr.recognizer import Hypothesis
from audio.clip import Clip, Samples
from stream.entry import CameBack, Command, Ended, Entry, Opened, Refused, Sound, TakenUp, Told, encoded
from stream.recovery import recover
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import save
from streaming.utterance import RecordedResult
from tests.stream.little import hear, sound
from vad.segmenter import Reason

FRESH = save(Session(SessionOptions()))
TEXT = RecordedResult(Hypothesis("good morning"), None)


def file(*entries: Entry) -> bytes:
    return b"".join(encoded(entry) for entry in entries)


def ramp(start: int, end: int) -> Samples:
    """Sound of which every place sounds different."""
    return np.arange(start, end, dtype=np.float32) / np.float32(32_768)


def after(samples: int) -> Session:
    """One that has heard so much silence."""
    session = Session(SessionOptions())
    session.receive_audio(Clip(ramp(0, samples), 0))
    while (hops := session.take_hops(100)) is not None:
        session.receive_probs([0.0] * len(hops))
    return session


def test_what_came_in_since_the_beginning_is_to_be_played_once_more() -> None:
    tail: list[Entry] = [Sound(ramp(0, 100)), Command("{}"), Sound(ramp(100, 160)), Ended(Reason.DISCONNECT)]
    data = file(Opened({"session_id": "5f1c"}, 0, FRESH), *tail[:2], Refused(), *tail[2:])
    found = recover([data])
    assert found is not None
    assert (found.head, found.refused, found.intact) == ({"session_id": "5f1c"}, 1, len(data))
    assert [type(entry) for entry in found.tail] == [type(entry) for entry in tail]
    assert sum(len(entry.samples) for entry in found.tail if isinstance(entry, Sound)) == 160


@pytest.mark.parametrize(
    ("since", "in_vain"),
    [
        ([], 0),
        ([TakenUp()], 1),
        ([Sound(ramp(0, 100)), TakenUp(), Told("Final"), TakenUp(), Ended(Reason.DISCONNECT)], 2),
        ([TakenUp(), TakenUp(), CameBack()], 0),
        ([TakenUp(), Sound(ramp(0, 100)), TakenUp()], 1),
        ([TakenUp(), Command("{}")], 0),
        ([TakenUp(), Refused()], 0),
    ],
)
def test_servers_are_counted_that_took_it_up_since_its_client_was_there(
    since: list[Entry], in_vain: int
) -> None:
    found = recover([file(Opened({}, 0, FRESH), *since)])
    assert found is not None
    assert found.in_vain == in_vain


def test_what_was_told_is_counted_and_kept_for_a_client_that_comes_back() -> None:
    found = recover(
        [
            file(
                Opened({}, 0, FRESH),
                Told("SpeechStarted", [{"seq": 1}]),
                Sound(ramp(0, 32_000)),
                Told(None, [{"seq": 2}], 1, stable="good"),
                Told("Final", [{"seq": 3}], 1, TEXT, sound=(10, 50)),
                Told("SpeechStarted", [{"seq": 4}]),
                Told(None, [{"seq": 5}], 2, stable="how are"),
                Told("Final", [], 3, "it failed"),
            )
        ]
    )
    assert found is not None
    assert found.told == {"SpeechStarted": 2, "Final": 2}
    assert found.begun.concluded == {1: TEXT, 3: "it failed"}
    assert found.begun.promised[2] == ["how", " are"]
    assert ([message["seq"] for message, _ in found.messages], found.number) == ([1, 2, 3, 4, 5], 5)
    heard = found.messages[2][1]
    assert heard is not None
    np.testing.assert_array_equal(heard, ramp(10, 50))
    assert sum(sound is None for _, sound in found.messages) == 4


def test_a_torn_tail_is_left_out() -> None:
    whole = file(Opened({}, 0, FRESH), Sound(ramp(0, 100)))
    found = recover([whole + file(Sound(ramp(100, 200)))[:-1]])
    assert found is not None
    assert (len(found.tail), found.intact) == (1, len(whole))


def test_the_newest_file_with_a_beginning_counts_and_older_ones_give_their_messages() -> None:
    second = after(32_000)
    files = [
        file(Opened({"n": 1}, 0, FRESH), Sound(ramp(0, 32_000)), Told("Final", [{"seq": 1}], 1, TEXT)),
        file(
            Opened({"n": 2}, 1, save(second)),
            Sound(ramp(32_000, 40_000)),
            Told("Final", [{"seq": 2}], 2, TEXT, sound=(31_000, 33_000)),
        ),
        file(Opened({"n": 3}, 2, FRESH))[:-5],
    ]
    found = recover(files)
    assert found is not None
    assert found.head == {"n": 2}
    assert found.begun.snapshot.state.received == 32_000
    assert found.told == {"Final": 1}
    assert [message["seq"] for message, _ in found.messages] == [1, 2]
    np.testing.assert_array_equal(found.messages[1][1], ramp(31_000, 33_000))


def test_messages_behind_a_file_that_is_gone_are_all_there_are() -> None:
    found = recover(
        [
            file(Opened({}, 0, FRESH), Told(None, [{"seq": 1}])),
            file(Opened({}, 7, save(after(3_200))), Told(None, [{"seq": 8}])),
        ]
    )
    assert found is not None
    assert ([message["seq"] for message, _ in found.messages], found.number) == ([8], 8)


def test_the_sound_of_a_final_may_have_come_before_the_oldest_file() -> None:
    session = Session(SessionOptions(eager=False))
    samples = sound((True, 9_600), (False, 96_000))
    session.receive_audio(Clip(samples, 0))
    while (hops := session.take_hops(9)) is not None:
        session.receive_probs(hear(hops))
    session.take_events()
    snapshot = save(session)
    waiting = snapshot.state.waiting[0]
    assert not isinstance(waiting, str)
    assert waiting.end is not None
    place = (waiting.start, waiting.end)
    lost = (0, 50)
    found = recover(
        [
            file(
                Opened({}, 0, snapshot),
                Told("Final", [{}], 1, TEXT, sound=place),
                Told("Final", [{}], 2, TEXT, sound=lost),
            )
        ]
    )
    assert found is not None
    np.testing.assert_array_equal(found.messages[0][1], samples[slice(*place)])


def test_files_without_a_beginning_tell_of_no_session() -> None:
    assert recover([]) is None
    assert recover([b"", b"nonsense", file(Sound(ramp(0, 10)))]) is None
