"""Convert options, problems and segments of jobs to JSON and back, with their types checked."""

from typing import Final

from pydantic import TypeAdapter

from jobs.job import JobOptions, JobProblem
from transcripts.transcript import TranscriptSegment

OPTIONS: Final = TypeAdapter(JobOptions)
PROBLEM: Final = TypeAdapter(JobProblem)
SEGMENTS: Final = TypeAdapter(tuple[TranscriptSegment, ...])
WARNINGS: Final = TypeAdapter(tuple[str, ...])
