"""The text of a job in each format."""

import io
import zipfile
from typing import get_args

import orjson
import pytest

from asr.recognizer import Hypothesis, Word
from jobs.job import Job, JobOptions, JobSource, JobState, JobTranscript
from server.protocols.jobs.rendering import Format, render_transcript
from transcripts.transcript import FilteredText, TranscriptSegment

JOB = Job("job_1", "ann", JobState.SUCCEEDED, JobSource(name="talk.wav"), JobOptions(), 0.0)
SEGMENTS = (TranscriptSegment(16_000, 32_000, Hypothesis("Good morning.")),)
FILTERED = (FilteredText(40_000, 48_000, "phantom"), FilteredText(64_000, 96_000, "repetition"))


def test_filtered_texts_are_named_in_json() -> None:
    answer = orjson.loads(render_transcript(JobTranscript(JOB, SEGMENTS, FILTERED), "json").body)
    assert answer["filtered"] == [
        {"start": 2.5, "end": 3.0, "guard": "phantom"},
        {"start": 4.0, "end": 6.0, "guard": "repetition"},
    ]
    assert orjson.loads(render_transcript(JobTranscript(JOB, SEGMENTS), "json").body)["filtered"] == []


def test_ignored_options_are_named_in_json() -> None:
    ignoring = TranscriptSegment(0, 9, Hypothesis("So it is.", ignored=("language",)))
    answers = [
        orjson.loads(render_transcript(JobTranscript(JOB, segments), "json").body)["ignored"]
        for segments in (SEGMENTS, (*SEGMENTS, ignoring, ignoring))
    ]
    assert answers == [[], ["language"]]


@pytest.mark.parametrize("form", get_args(Format))
def test_filtered_texts_are_counted_in_a_header(form: Format) -> None:
    assert render_transcript(JobTranscript(JOB, SEGMENTS, FILTERED), form).headers["x-filtered"] == "2"
    assert "x-filtered" not in render_transcript(JobTranscript(JOB, SEGMENTS), form).headers


@pytest.mark.parametrize(
    ("form", "media_type", "beginning"),
    [
        ("text", "text/plain; charset=utf-8", "Good morning."),
        ("srt", "text/plain; charset=utf-8", "1\n00:00:01,000 --> "),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n"),
        ("ass", "text/plain; charset=utf-8", "[Script Info]\n"),
        ("md", "text/markdown; charset=utf-8", "# talk.wav\n"),
    ],
)
def test_text_has_the_form_and_type_of_its_format(form: Format, media_type: str, beginning: str) -> None:
    answer = render_transcript(JobTranscript(JOB, SEGMENTS), form)
    assert answer.headers["content-type"] == media_type
    assert bytes(answer.body).decode().startswith(beginning)
    assert b"Good morning." in bytes(answer.body)


def test_speakers_are_named_in_json_and_text() -> None:
    word = Word("Hello.", 0, 16_000, 0.5, speaker="B", overlap=True)
    segment = TranscriptSegment(0, 16_000, Hypothesis("Hello.", (word,)), "B")
    found = JobTranscript(JOB, (*SEGMENTS, segment))
    plain, named = orjson.loads(render_transcript(found, "json").body)["segments"]
    assert (plain["speaker"], named["speaker"], named["words"][0]["speaker"]) == (None, "B", "B")
    assert named["overlap"] is named["words"][0]["overlap"] is True
    assert "overlap" not in plain
    assert bytes(render_transcript(found, "text").body) == b"Good morning.\nB: Hello.\n"


def test_word_document_has_the_text() -> None:
    answer = render_transcript(JobTranscript(JOB, SEGMENTS), "docx")
    assert answer.headers["content-type"].endswith("wordprocessingml.document")
    with zipfile.ZipFile(io.BytesIO(bytes(answer.body))) as document:
        assert b"Good morning." in document.read("word/document.xml")
