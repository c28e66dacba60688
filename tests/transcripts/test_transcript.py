"""A transcript as text and as JSON, with times in seconds."""

import json

from asr.recognizer import Hypothesis, Word
from audio.files import Info, Track
from transcripts.transcript import FilteredText, Transcript, TranscriptSegment, json_of, text_of

TRANSCRIPT = Transcript(
    "talk.wav",
    "pocketsphinx",
    (
        TranscriptSegment(
            8_000,
            32_008,
            Hypothesis("good morning", (Word("good", 8_000, 12_000, 0.5), Word("morning", 12_000, 32_000))),
        ),
        TranscriptSegment(40_000, 48_000, Hypothesis("wel\u0119come", language="en", confidence=0.25)),
    ),
)


def test_text_is_a_line_for_each_segment() -> None:
    assert text_of(TRANSCRIPT) == "good morning\nwel\u0119come\n"
    assert TRANSCRIPT.text == "good morning wel\u0119come"


def test_json_is_one_line_with_everything() -> None:
    line = json_of(TRANSCRIPT)
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "file": "talk.wav",
        "model": "pocketsphinx",
        "text": "good morning wel\u0119come",
        "segments": [
            {
                "start": 0.5,
                "end": 2.0,
                "text": "good morning",
                "language": None,
                "confidence": None,
                "words": [
                    {"word": "good", "start": 0.5, "end": 0.75, "confidence": 0.5},
                    {"word": "morning", "start": 0.75, "end": 2.0, "confidence": None},
                ],
            },
            {
                "start": 2.5,
                "end": 3.0,
                "text": "wel\u0119come",
                "language": "en",
                "confidence": 0.25,
                "words": [],
            },
        ],
    }


def test_json_names_filtered_texts() -> None:
    silent = Transcript("noise.wav", "free", (), (FilteredText(8_000, 16_000, "phantom"),))
    assert json.loads(json_of(silent))["filtered"] == [{"start": 0.5, "end": 1.0, "guard": "phantom"}]


def test_nothing_said_is_no_line_of_text() -> None:
    nothing = Transcript("noise.wav", "free", ())
    assert text_of(nothing) == ""
    assert json.loads(json_of(nothing))["segments"] == []


def test_json_has_the_warnings_and_tracks_of_the_file() -> None:
    tracks = (Track(0, "fra", None, False, "aac", 44_100, 2), Track(1, None, "Talk", True, "aac", 48_000, 1))
    info = Info(3.0, False, tracks[1], tracks)
    document = json.loads(json_of(Transcript("a.mkv", "free", (), (), ("It is incomplete.",), info)))
    assert document["warnings"] == ["It is incomplete."]
    assert document["track"] == 1
    assert document["tracks"] == [
        {"index": 0, "language": "fra", "title": None, "default": False, "channels": 2},
        {"index": 1, "language": None, "title": "Talk", "default": True, "channels": 1},
    ]
