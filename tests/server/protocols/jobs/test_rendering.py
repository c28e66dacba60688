"""The text of a job in each format."""

import orjson
import pytest

from asr.recognizer import Hypothesis
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


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt"])
def test_filtered_texts_are_counted_in_a_header(form: Format) -> None:
    assert render_transcript(JobTranscript(JOB, SEGMENTS, FILTERED), form).headers["x-filtered"] == "2"
    assert "x-filtered" not in render_transcript(JobTranscript(JOB, SEGMENTS), form).headers
