"""Summarize transcripts on the command line. Its libraries take long to import, so only --summarize does."""

from pydantic import ValidationError

from cli.console import print_error
from postprocessing.summary import Summarizer
from postprocessing.summary_types import Chapters, Summary
from server.settings.problems import problems_of
from server.settings.summary import SummarySettings
from transcripts.transcript import Transcript, passages_of


def load_summarizer() -> Summarizer:
    """Return what summarizes, by the settings of the server. Raises ValueError if one of them is invalid."""
    try:
        settings = SummarySettings()
    except ValidationError as error:
        raise ValueError("\n".join(problems_of(error, SummarySettings))) from None
    return Summarizer(settings.summary_endpoint())


async def chapters_of(summarizer: Summarizer, transcript: Transcript) -> Chapters:
    """Return the chapters of a transcript; print a warning if there are none."""
    chapters = await summarizer.chapters(passages_of(transcript.segments))
    if chapters.reason:
        print_error(f"{transcript.source}: warning: there are no chapters: {chapters.reason}")
    return chapters


async def summary_of(summarizer: Summarizer, transcript: Transcript) -> Summary:
    """Return the summary of a transcript; print a warning if the model did not write it."""
    summary = await summarizer.summarize([each.hypothesis.text for each in transcript.segments])
    if summary.reason:
        print_error(f"{transcript.source}: warning: sentences were chosen as the summary: {summary.reason}")
    return summary
