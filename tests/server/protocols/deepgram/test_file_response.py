"""Test the response of Deepgram's API for a file."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, ModelInfo, Word
from server.connection.protocol import Message
from server.protocols.deepgram.file_response import FileResult, build_response
from server.protocols.deepgram.live_output import ModelMetadata
from server.protocols.deepgram.options import parse_options
from streaming.options import SessionOptions
from transcripts.transcript import FilteredText, TranscriptSegment

SECOND = 16_000
MODEL = ModelMetadata.of(ModelInfo("org/model", "auto", "ctc", "cpu", "float32"))


def segment(start: float, text: str, **more: Any) -> TranscriptSegment:
    """Return a segment in which each word takes half a second."""
    places = [round((start + n / 2) * SECOND) for n in range(len(text.split()) + 1)]
    spans = zip(text.split(), pairwise(places), strict=True)
    words = tuple(Word(word, *edges, 0.5) for word, edges in spans)
    return TranscriptSegment(places[0], places[-1], Hypothesis(text, words, **more))


TALK = (segment(1, "Good morning. How are you?"), segment(4.1, "Fine,", language="en"), segment(9, "Bye."))


def answer(*segments: TranscriptSegment, **query: str) -> Message:
    asked = parse_options(query.items(), SessionOptions())
    return build_response(asked, MODEL, FileResult("req", "sha", "then", 12.5, segments))


def alternative(*segments: TranscriptSegment, **query: str) -> Message:
    (channel,) = answer(*segments, **query)["results"]["channels"]
    (only,) = channel["alternatives"]
    found: Message = only
    return found


def test_the_metadata_names_the_file_and_the_model() -> None:
    assert answer(*TALK)["metadata"] == {
        "transaction_key": "deprecated",
        "request_id": "req",
        "sha256": "sha",
        "created": "then",
        "duration": 12.5,
        "channels": 1,
        "models": [MODEL.uuid],
        "model_info": {MODEL.uuid: MODEL.info},
    }


def test_channels_are_apart_and_their_utterances_in_order() -> None:
    segments = (
        spoken_by("A", 1, "Good morning."),
        spoken_by("B", 2.5, "Hello."),
        spoken_by("A", 4, "How are you?"),
        spoken_by("B", 6, "Fine."),
    )
    asked = parse_options({"multichannel": "true", "utterances": "true"}.items(), SessionOptions())
    found = build_response(asked, MODEL, FileResult("req", "sha", "then", 12.5, segments, channels=2))
    assert found["metadata"]["channels"] == 2
    channels = [each["alternatives"][0]["transcript"] for each in found["results"]["channels"]]
    assert channels == ["good morning how are you", "hello fine"]
    utterances = found["results"]["utterances"]
    assert [(each["channel"], each["start"]) for each in utterances] == [(0, 1), (1, 2.5), (0, 4), (1, 6)]


def test_metadata_has_tags_and_unsupported_options() -> None:
    metadata = answer(segment(0, "a", ignored=("language",)), tag="x")["metadata"]
    assert (metadata["tags"], metadata["ignored"]) == (("x",), ["language"])


def test_metadata_names_filtered_texts() -> None:
    result = FileResult("req", "sha", "then", 12.5, (), (FilteredText(8_000, 16_000, "phantom"),))
    metadata = build_response(parse_options([], SessionOptions()), MODEL, result)["metadata"]
    assert metadata["filtered"] == [{"start": 0.5, "end": 1.0, "guard": "phantom"}]


def test_the_text_has_punctuation_on_request() -> None:
    assert alternative(*TALK)["transcript"] == "good morning how are you fine bye"
    assert alternative(*TALK, punctuate="true")["transcript"] == "Good morning. How are you? Fine, Bye."
    assert alternative(*TALK)["words"][1] == {"word": "morning", "start": 1.5, "end": 2.0, "confidence": 0.5}
    assert alternative(*TALK)["confidence"] == 0.5


def test_nothing_unrequested_is_included() -> None:
    assert answer(*TALK)["results"].keys() == {"channels"}
    assert alternative(*TALK).keys() == {"transcript", "confidence", "words"}


def test_silence_is_an_empty_text() -> None:
    asked = {"paragraphs": "true", "utterances": "true", "detect_language": "true"}
    results = answer(**asked)["results"]
    assert results["utterances"] == []
    assert results["channels"] == [
        {
            "alternatives": [
                {
                    "transcript": "",
                    "confidence": 0.0,
                    "words": [],
                    "paragraphs": {"transcript": "", "paragraphs": []},
                }
            ]
        }
    ]


@pytest.mark.parametrize("option", ["paragraphs", "smart_format"])
def test_paragraphs_hold_sentences_and_end_at_pauses(option: str) -> None:
    paragraphs = alternative(*TALK, **{option: "true"})["paragraphs"]
    assert paragraphs["transcript"] == "Good morning. How are you? Fine,\n\nBye."
    first, second = paragraphs["paragraphs"]
    assert first == {
        "sentences": [
            {"text": "Good morning.", "start": 1.0, "end": 2.0},
            {"text": "How are you?", "start": 2.0, "end": 3.5},
            {"text": "Fine,", "start": 4.1, "end": 4.6},
        ],
        "speaker": 0,
        "num_words": 6,
        "start": 1.0,
        "end": 4.6,
    }
    assert second["num_words"] == 1


@pytest.mark.parametrize(("split", "count"), [("0.5", 3), ("0.8", 2), ("5", 1)])
def test_utterances_are_split_at_silence(split: str, count: int) -> None:
    utterances = answer(*TALK, utterances="true", utt_split=split)["results"]["utterances"]
    assert len(utterances) == count
    assert [u["channel"] for u in utterances] == [0] * count
    assert len({u["id"] for u in utterances}) == count


@given(
    st.lists(st.text("ab. ", min_size=1, max_size=12).filter(str.strip), max_size=6),
    st.sampled_from(["0", "0.5", "2"]),
)
def test_utterances_and_paragraphs_hold_each_word_once(texts: list[str], split: str) -> None:
    segments = [segment(10 * n, text) for n, text in enumerate(texts)]
    asked = {"punctuate": "true", "utterances": "true", "paragraphs": "true", "utt_split": split}
    results = answer(*segments, **asked)["results"]
    (only,) = results["channels"][0]["alternatives"]
    assert [word for u in results["utterances"] for word in u["words"]] == only["words"]
    assert " ".join(u["transcript"] for u in results["utterances"]).split() == only["transcript"].split()
    assert only["paragraphs"]["transcript"].split() == only["transcript"].split()
    assert sum(p["num_words"] for p in only["paragraphs"]["paragraphs"]) == len(only["words"])


def test_the_language_is_included_on_request() -> None:
    assert "detected_language" not in answer(*TALK)["results"]["channels"][0]
    assert answer(*TALK, detect_language="true")["results"]["channels"][0]["detected_language"] == "en"


def test_there_is_one_speaker_on_request() -> None:
    results = answer(*TALK, diarize="true", utterances="true")["results"]
    assert {word["speaker"] for word in results["channels"][0]["alternatives"][0]["words"]} == {0}
    assert {utterance["speaker"] for utterance in results["utterances"]} == {0}


def spoken_by(speaker: str, start: float, text: str) -> TranscriptSegment:
    plain = segment(start, text)
    words = tuple(replace(word, speaker=speaker) for word in plain.hypothesis.words)
    return replace(plain, speaker=speaker, hypothesis=replace(plain.hypothesis, words=words))


DIALOGUE = (spoken_by("A", 0, "How are you?"), spoken_by("B", 1.5, "Fine."), spoken_by("A", 2, "Good."))


def test_words_have_numbers_of_speakers_on_request() -> None:
    words = alternative(*DIALOGUE, diarize="true")["words"]
    assert [word["speaker"] for word in words] == [0, 0, 0, 1, 0]
    assert all("speaker" not in word for word in alternative(*DIALOGUE)["words"])


def test_utterances_and_paragraphs_end_with_the_speaker() -> None:
    results = answer(*DIALOGUE, diarize="true", utterances="true", paragraphs="true")["results"]
    assert [(each["speaker"], each["transcript"]) for each in results["utterances"]] == [
        (0, "How are you?"),
        (1, "Fine."),
        (0, "Good."),
    ]
    paragraphs = results["channels"][0]["alternatives"][0]["paragraphs"]["paragraphs"]
    assert [paragraph["speaker"] for paragraph in paragraphs] == [0, 1, 0]


def test_words_without_times_have_the_speaker_of_their_segment() -> None:
    untimed = TranscriptSegment(0, SECOND, Hypothesis("two words"), "B")
    assert [word["speaker"] for word in alternative(untimed, diarize="true")["words"]] == [1, 1]
