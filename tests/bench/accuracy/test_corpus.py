"""Test manifests and the long recordings made of them."""

import json
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench import ROOT
from bench.accuracy.corpus import (
    ManifestEntry,
    by_speaker,
    distribute,
    join,
    pick,
    read_manifest,
    speech_span,
    split_by_length,
)

RATE = 16_000
SHARED = ROOT.parent / "shared" / "audio"


def entry(number: int, speaker: str) -> ManifestEntry:
    return ManifestEntry(Path(f"{number}.wav"), "words", 1.0, speaker)


MANY = [entry(number, speaker) for speaker in "abc" for number in range(10)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Write two files: 0.2 s of silence, 0.5 s or 0.8 s of tone, 0.1 s of silence."""
    rows: list[dict[str, object]] = []
    for number, seconds in enumerate((0.5, 0.8)):
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)
        sound = np.concatenate([np.zeros(RATE // 5), tone, np.zeros(RATE // 10)])
        with wave.open(str(tmp_path / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        rows.append({"file": f"{number}.wav", "text": f"TONE {number}", "speaker": "x", "duration_s": 1})
    rows.append({"file": "unknown.wav", "text": None, "duration_s": 1})
    rows.append({"file": "unreadable.wav", "text": "", "duration_s": None})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_a_manifest_gives_the_entries_that_can_be_scored(corpus: Path) -> None:
    assert [(each.path.name, each.text, each.speaker) for each in read_manifest(corpus)] == [
        ("0.wav", "TONE 0", "x"),
        ("1.wav", "TONE 1", "x"),
    ]


def test_picks_are_spread_over_the_speakers_and_keep_their_order() -> None:
    picked = pick(MANY, 7, np.random.default_rng(0))
    assert sorted(Counter(each.speaker for each in picked).values()) == [2, 2, 3]
    assert [MANY.index(each) for each in picked] == sorted(MANY.index(each) for each in picked)


def test_the_same_seed_picks_the_same() -> None:
    assert pick(MANY, 7, np.random.default_rng(3)) == pick(MANY, 7, np.random.default_rng(3))


def test_only_the_named_speakers_are_picked_and_no_more_than_there_are() -> None:
    assert pick(MANY, 100, np.random.default_rng(0), ["b"]) == by_speaker(MANY)["b"]


def test_distributing_loses_nothing_and_leaves_no_list_empty() -> None:
    lists = distribute(MANY[:5], 8)
    assert len(lists) == 5
    assert sorted(each.path for part in distribute(MANY, 4) for each in part) == sorted(
        each.path for each in MANY
    )


def test_a_recording_holds_the_sounds_unchanged_where_it_says(corpus: Path) -> None:
    entries = read_manifest(corpus)
    recording = join(entries, np.random.default_rng(0), (0.6, 2.5))
    for place in recording.places:
        start, end = round(place.start_ms * RATE / 1000), round(place.end_ms * RATE / 1000)
        np.testing.assert_array_equal(recording.samples[start:end], place.entry.read())
    first, second = recording.places
    gaps = [first.start_ms, second.start_ms - first.end_ms, recording.seconds * 1000 - second.end_ms]
    assert all(600 <= gap <= 2500 for gap in gaps)


def test_speech_is_where_it_is_loud(corpus: Path) -> None:
    place = join(read_manifest(corpus), np.random.default_rng(0), (0.6, 2.5)).places[0]
    assert place.speech.start_ms - place.start_ms == pytest.approx(200, abs=20)
    assert place.end_ms - place.speech.end_ms == pytest.approx(100, abs=20)


@pytest.mark.parametrize("hiss", [1e-4, 0.01, 0.03])
def test_speech_is_separated_from_background_noise(hiss: float) -> None:
    rng = np.random.default_rng(0)
    sound = hiss * rng.standard_normal(RATE * 2)
    sound[RATE // 2 : RATE] += 0.3 * rng.standard_normal(RATE // 2)
    first, last = speech_span(sound.astype(np.float32))
    assert first == pytest.approx(RATE // 2, abs=RATE // 50)
    assert last == pytest.approx(RATE, abs=RATE // 50)


def test_silence_has_no_better_span_than_all_of_it() -> None:
    assert speech_span(np.zeros(1000, np.float32)) == (0, 1000)


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no recorded speech in ../shared")
def test_the_shared_manifests_can_be_read() -> None:
    assert len(read_manifest(SHARED / "librispeech")) > 600
    assert len(read_manifest(SHARED / "nonspeech")) > 200


def test_entries_are_split_in_order_by_length() -> None:
    one, two, three, four = (
        ManifestEntry(Path(f"{n}.wav"), "", seconds) for n, seconds in enumerate((1, 1, 2, 4))
    )
    assert split_by_length([one, two, three, four], 2) == [[one, two, three], [four]]
    assert split_by_length([one, two], 5) == [[one], [two]]
