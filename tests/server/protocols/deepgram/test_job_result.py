"""Test the jobs of requests of Deepgram's API and their results."""

from dataclasses import replace

import pytest

from asr.recognizer import Hypothesis, Word
from diarization.clustering import ANY_NUMBER
from jobs.job import Job, JobSource, JobState, JobTranscript
from postprocessing.summary_types import Summary
from server.protocols.deepgram.job_result import job_options, result_of
from server.protocols.deepgram.options import parse_options
from streaming.options import SessionOptions
from transcripts.transcript import TranscriptSegment

DIARIZED = [("diarize", "true"), ("utterances", "true")]


@pytest.mark.parametrize(
    ("query", "diarizes", "speakers"),
    [
        (DIARIZED, True, ANY_NUMBER),
        ([("diarize_model", "latest")], True, ANY_NUMBER),
        (DIARIZED, False, None),
        ([], True, None),
    ],
)
def test_speakers_are_asked_for_where_the_server_has_them(
    query: list[tuple[str, str]], diarizes: bool, speakers: object
) -> None:
    options = job_options(parse_options(query, SessionOptions()), query, diarizes=diarizes)
    assert options.speakers == speakers


def test_channels_apart_need_no_search_for_speakers() -> None:
    query = [*DIARIZED, ("multichannel", "true")]
    options = job_options(parse_options(query, SessionOptions()), query, diarizes=True)
    assert (options.multichannel, options.speakers) == (True, None)


def test_result_has_all_channels() -> None:
    query = [("multichannel", "true"), ("utterances", "true")]
    options = job_options(parse_options(query, SessionOptions()), query, diarizes=True)
    segments = (TranscriptSegment(0, 16_000, Hypothesis("hello"), "B"),)
    job = Job("job_1", "ann", JobState.SUCCEEDED, JobSource(audio="00-11"), options, 1.0, channels=3)
    found = result_of(JobTranscript(job, segments))
    texts = [each["alternatives"][0]["transcript"] for each in found["results"]["channels"]]
    assert (texts, found["metadata"]["channels"]) == (["", "hello", ""], 3)
    assert [each["channel"] for each in found["results"]["utterances"]] == [1]


def test_result_has_the_summary() -> None:
    query = [("summarize", "v2")]
    options = job_options(parse_options(query, SessionOptions()), query, diarizes=True)
    assert options.summarize
    job = Job("job_1", "ann", JobState.SUCCEEDED, JobSource(audio="00-11"), options, 1.0)
    assert "summary" not in result_of(JobTranscript(job, ()))["results"]
    found = result_of(JobTranscript(replace(job, summary=Summary("Short.", "extractive")), ()))
    assert found["results"]["summary"] == {"result": "success", "short": "Short.", "method": "extractive"}


def test_result_numbers_the_speakers() -> None:
    options = job_options(parse_options(DIARIZED, SessionOptions()), DIARIZED, diarizes=True)
    segments = tuple(
        TranscriptSegment(
            start, start + 16_000, Hypothesis(name, (Word(name, start, start + 8_000, speaker=name),)), name
        )
        for start, name in ((0, "A"), (16_000, "B"), (32_000, "A"))
    )
    job = Job("job_1", "ann", JobState.SUCCEEDED, JobSource(audio="00-11"), options, 1.0)
    results = result_of(JobTranscript(job, segments))["results"]
    words = results["channels"][0]["alternatives"][0]["words"]
    assert [word["speaker"] for word in words] == [0, 1, 0]
    assert [each["speaker"] for each in results["utterances"]] == [0, 1, 0]
