"""Downloads are named after the file that was transcribed."""

import pytest

from tests.web.browser import Modules


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("talk.mp3", "talk.txt"),
        ("a.b.c.webm", "a.b.c.txt"),
        ("https://host/folder/talk%20one.mp3?x=1.2", "talk%20one.txt"),
        ("C:\\talks\\talk.wav", "talk.txt"),
        ("Recording Nov 29, 2026, 10:05 AM", "Recording Nov 29, 2026, 10 05 AM.txt"),
        ("...", "transcript.txt"),
        ("Gespräch\u0000.m4a", "Gespräch.txt"),
    ],
)
async def test_name_has_no_path_and_no_extension(modules: Modules, title: str, expected: str) -> None:
    function = "({ downloadName }, title) => downloadName(title, 'txt')"
    assert await modules.run("file_names", function, title) == expected
