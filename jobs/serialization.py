"""Convert options, problems, tracks, texts and summaries of jobs to JSON and back, types checked."""

from typing import Final

from pydantic import TypeAdapter

from jobs.job import JobOptions, JobProblem, JobTracks
from postprocessing.summary_types import Chapters, Summary
from transcripts.transcript import FilteredText, TranscriptSegment

OPTIONS: Final = TypeAdapter(JobOptions)
PROBLEM: Final = TypeAdapter(JobProblem)
TRACKS: Final = TypeAdapter(JobTracks)
SEGMENTS: Final = TypeAdapter(tuple[TranscriptSegment, ...])
FILTERED: Final = TypeAdapter(tuple[FilteredText, ...])
CHAPTERS: Final = TypeAdapter(Chapters)
SUMMARY: Final = TypeAdapter(Summary)
WARNINGS: Final = TypeAdapter(tuple[str, ...])
