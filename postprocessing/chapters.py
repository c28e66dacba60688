"""Read the chapters that a language model writes for a long recording, and refuse anything else. Pure."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from postprocessing.summary_types import Chapter, Passage

MAX_CHAPTERS: Final = 20
MIN_CHAPTER_SECONDS: Final = 60.0  # on average
MAX_TITLE_CHARS: Final = 100

_LINE: Final = re.compile(
    r"\[?(\d{1,3}):([0-5]\d):([0-5]\d)\]?[ \t]+(?:[-\u2013\u2014:][ \t]+)?(\S.*)", re.ASCII
)


class ChaptersRefused(ValueError):
    """What a model wrote are no chapters of this recording. The message has nothing of it."""


def most_chapters(passages: Sequence[Passage]) -> int:
    """Return how many chapters a recording may have: one a minute, and at most MAX_CHAPTERS."""
    seconds = passages[-1].end - passages[0].start if passages else 0.0
    return min(MAX_CHAPTERS, int(seconds // MIN_CHAPTER_SECONDS))


def timed_lines(passages: Sequence[Passage]) -> list[str]:
    """Return a line with its time for each passage, as a model gets them."""
    return [f"[{_clock(each.start)}] {' '.join(each.text.split())}" for each in passages if each.text.strip()]


def read_chapters(text: str, passages: Sequence[Passage], most: int) -> list[Chapter]:
    """Return the chapters that a model wrote, a line with time and title for each.

    A chapter begins with the passage that begins next to its time. Raises ChaptersRefused if a line is
    another one, if there are none or too many, or if times do not increase or are not in the recording.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 0 < len(lines) <= most:
        raise ChaptersRefused(f"the model wrote {len(lines)} lines in place of 1 to {most} chapters")
    chapters = [_chapter(line, passages) for line in lines]
    check_order(chapters)
    return chapters


def check_order(chapters: Sequence[Chapter]) -> None:
    """Raise ChaptersRefused unless each chapter begins after the one before."""
    if any(before.start >= after.start for before, after in pairwise(chapters)):
        raise ChaptersRefused("the chapters of the model are not in order of time")


def _chapter(line: str, passages: Sequence[Passage]) -> Chapter:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ChaptersRefused("the model wrote something else than times and titles")
    hours, minutes, seconds = map(int, found.groups()[:3])
    title = " ".join(found[4].split())
    if len(title) > MAX_TITLE_CHARS or not title.isprintable():
        raise ChaptersRefused(f"the model wrote a title that is not a line of {MAX_TITLE_CHARS} characters")
    start = (hours * 60 + minutes) * 60 + seconds
    if start > passages[-1].end or start < math.floor(passages[0].start):
        raise ChaptersRefused("the model wrote a time that is not in the recording")
    return Chapter(min((each.start for each in passages), key=lambda place: abs(place - start)), title)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3_600}:{whole // 60 % 60:02}:{whole % 60:02}"
