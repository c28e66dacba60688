"""`--summarize`: who writes the summary, and what is said if that fails."""

from pathlib import Path

import pytest

from asr.recognizer import Hypothesis
from cli.__main__ import main
from cli.console import UNUSABLE
from cli.summary import load_summarizer, summary_of
from postprocessing.summary_types import Summary
from tests.postprocessing.chat_server import Answer, chat_server, says
from transcripts.transcript import Transcript, TranscriptSegment

TALK = Transcript("talk.wav", "little", (TranscriptSegment(0, 16_000, Hypothesis("Hello there.")),))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Clear the settings and use an empty folder."""
    for name in ("SUMMARY_URL", "SUMMARY_MODEL", "SUMMARY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


async def summarized(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> Summary:
    with chat_server(lambda request: answer) as served:
        monkeypatch.setenv("SUMMARY_URL", served.url)
        monkeypatch.setenv("SUMMARY_MODEL", "small")
        return await summary_of(load_summarizer(), TALK)


async def test_settings_of_the_server_name_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await summarized(says("A greeting."), monkeypatch) == Summary("A greeting.", "model", "small")


async def test_failed_model_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = await summarized((500, b""), monkeypatch)
    assert (summary.text, summary.method) == ("Hello there.", "extractive")
    warning = "sentences were chosen as the summary: the endpoint answered with status 500"
    assert capsys.readouterr().err.endswith(f"stt: talk.wav: warning: {warning}\n")


async def test_sentences_are_chosen_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert await summary_of(load_summarizer(), TALK) == Summary("Hello there.", "extractive")
    assert capsys.readouterr().err == ""


def test_invalid_setting_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUMMARY_URL", "localhost")
    assert main(["transcribe", "talk.wav", "--summarize"]) == UNUSABLE
    assert "it must begin with http://" in capsys.readouterr().err
