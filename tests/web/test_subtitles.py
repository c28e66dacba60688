"""Cues have a readable size, and the files conform to SRT and WebVTT."""

from typing import Any

from tests.web.browser import Modules


def segment(text: str, start: int, end: int) -> dict[str, Any]:
    """Return a segment whose words all have the same duration."""
    words = text.split()
    step = (end - start) / len(words)
    return {
        "startMs": start,
        "endMs": end,
        "words": [
            {"text": f"{word} ", "startMs": start + i * step, "endMs": start + (i + 1) * step}
            for i, word in enumerate(words)
        ],
    }


async def test_long_segment_is_divided_into_readable_cues(modules: Modules) -> None:
    text = " ".join(f"word{i}," if i % 9 == 8 else f"word{i}" for i in range(120))
    cues = await modules.run(
        "subtitles", "({ toCues }, segments) => toCues(segments)", [segment(text, 500, 60_500)]
    )
    assert " ".join(line for cue in cues for line in cue["lines"]) == text
    for cue in cues:
        assert 0 < cue["endMs"] - cue["startMs"] <= 7_001
        assert 1 <= len(cue["lines"]) <= 2
        assert max(map(len, cue["lines"])) <= 42
    assert (cues[0]["startMs"], cues[-1]["endMs"]) == (500, 60_500)


async def test_word_longer_than_a_line_is_split(modules: Modules) -> None:
    cues = await modules.run(
        "subtitles", "({ toCues }, segments) => toCues(segments)", [segment("a" * 100, 0, 3000)]
    )
    assert [line for cue in cues for line in cue["lines"]] == ["a" * 42, "a" * 42, "a" * 16]


async def test_srt_and_vtt_have_the_specified_format(modules: Modules) -> None:
    segments = [segment("a <b> --> c & d", 1_000, 2_500), segment("again", 3_600_000, 3_601_001)]
    srt, vtt = [
        await modules.run("subtitles", f"({{ {name} }}, segments) => {name}(segments)", segments)
        for name in ("toSrt", "toVtt")
    ]
    assert srt == (
        "1\n00:00:01,000 --> 00:00:02,500\na <b> --> c & d\n\n2\n01:00:00,000 --> 01:00:01,001\nagain\n"
    )
    assert vtt == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\na &lt;b&gt; --&gt; c &amp; d\n"
        "\n01:00:00.000 --> 01:00:01.001\nagain\n"
    )
