"""Convert options, problems, tracks and texts of jobs to JSON and back, with their types checked."""

from typing import Final

from pydantic import TypeAdapter

from jobs.job import JobOptions, JobProblem, JobTracks
from transcripts.transcript import FilteredText, TranscriptSegment

OPTIONS: Final = TypeAdapter(JobOptions)
PROBLEM: Final = TypeAdapter(JobProblem)
TRACKS: Final = TypeAdapter(JobTracks)
SEGMENTS: Final = TypeAdapter(tuple[TranscriptSegment, ...])
FILTERED: Final = TypeAdapter(tuple[FilteredText, ...])
WARNINGS: Final = TypeAdapter(tuple[str, ...])
