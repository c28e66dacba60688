"""Test clients of Deepgram's API against a real server with a recognizer of fixed words."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.environments import ON_REQUEST, python_environment, run_script
from tests.server.live_server import ROOT
from tests.server.server_process import Program, scripted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), ON_REQUEST]  # clients are fetched

WORDS = " ".join((ROOT / "test.txt").read_text().split())
WAV = str(ROOT / "test.wav")


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    with scripted() as running:
        assert running.ready()["ready"], running.log
        yield running


def seen(server: Program, script: str, *requirements: str) -> Any:
    python = python_environment(requirements[0].partition("=")[0], *requirements)
    return run_script([python], script, server.url.removeprefix("http://"), WAV)


@pytest.fixture(scope="module")
def sdk(server: Program) -> Any:
    return seen(server, "deepgram_sdk.py", "deepgram-sdk==7.17.0")


def of(sdk: Any, kind: str) -> list[Any]:
    return [each for each in sdk["live"]["heard"] if each["kind"] == f"ListenV1{kind}"]


def test_the_sdk_lists_a_project(sdk: Any) -> None:
    (project,) = sdk["projects"]
    assert project["project_id"]


def transcript(results: Any) -> str:
    text: str = results["channel"]["alternatives"][0]["transcript"]
    return text


def test_the_sdk_knows_every_message_and_is_closed_without_an_error(sdk: Any) -> None:
    kinds = {each["kind"].removeprefix("ListenV1") for each in sdk["live"]["heard"]}
    assert kinds == {"SpeechStarted", "Results", "UtteranceEnd", "Metadata"}
    assert sdk["live"]["errors"] == []
    assert sdk["live"]["heard"][-1]["kind"] == "ListenV1Metadata"
    assert of(sdk, "Metadata")[0]["duration"] == pytest.approx(12.03)


def test_the_sdk_reads_a_summary_and_a_replaced_text(sdk: Any) -> None:
    results = sdk["changed"]["results"]
    assert results["channels"][0]["alternatives"][0]["transcript"].startswith(
        "good morning and welcome to the show"
    )
    assert results["summary"]["result"] == "success"
    assert "good morning" in results["summary"]["short"]


def test_the_finals_of_the_sdk_lie_one_behind_the_other_with_words_inside_them(sdk: Any) -> None:
    finals = [each for each in of(sdk, "Results") if each["is_final"] and transcript(each)]
    assert transcript(finals[0]) == "good morning and welcome to the program"
    assert transcript(finals[-1]) == "he walked along the river until the sun went down"
    end = 0.0
    for each in finals:
        words = each["channel"]["alternatives"][0]["words"]
        assert end - 0.001 <= each["start"] <= words[0]["start"]
        end = each["start"] + each["duration"]
        assert words[-1]["end"] <= end + 0.001


def test_the_sdk_hears_text_before_it_is_final(sdk: Any) -> None:
    interims = [each for each in of(sdk, "Results") if not each["is_final"]]
    assert interims
    assert all(transcript(each) for each in interims)


def test_each_finalize_of_the_sdk_is_answered_the_first_with_what_was_being_said(sdk: Any) -> None:
    answers = [each for each in of(sdk, "Results") if each["from_finalize"]]
    assert [bool(transcript(each)) for each in answers] == [True, False]
    assert transcript(answers[0]).startswith("she opened the window")


def test_the_sdk_hears_each_channel_by_itself(sdk: Any) -> None:
    said: dict[int, list[str]] = {0: [], 1: []}
    for each in sdk["channels"]:
        if each["kind"] == "ListenV1Results":
            assert each["channel_index"][1] == 2
            said[each["channel_index"][0]].append(transcript(each))
    assert " ".join(said[0]).startswith("good morning and welcome to the program")
    assert " ".join(said[1]).endswith("he walked along the river until the sun went down")
    starts = [each for each in sdk["channels"] if each["kind"] == "ListenV1SpeechStarted"]
    assert {each["channel"][0] for each in starts} == {0, 1}
    assert sdk["channels"][-1]["kind"] == "ListenV1Metadata"
    assert sdk["channels"][-1]["channels"] == 2


def test_the_sdk_reads_the_answer_to_a_file(sdk: Any) -> None:
    results, metadata = sdk["file"]["results"], sdk["file"]["metadata"]
    (alternative,) = results["channels"][0]["alternatives"]
    assert alternative["transcript"] == WORDS
    assert [word["word"] for word in alternative["words"]] == WORDS.split()
    assert len(results["utterances"]) == 3
    assert alternative["paragraphs"]["transcript"].split() == WORDS.split()
    assert (metadata["channels"], metadata["duration"], metadata["tags"]) == (1, 12.03, ["t"])


@pytest.mark.parametrize(("name", "code"), [("url", "REMOTE_CONTENT_ERROR"), ("text", "INVALID_AUDIO")])
def test_an_error_is_the_sdks_own_exception(sdk: Any, name: str, code: str) -> None:
    error = sdk["errors"][name]
    assert (error["kind"], error["status"], error["body"]["err_code"]) == ("BadRequestError", 400, code)


def test_a_refused_handshake_says_why(sdk: Any) -> None:
    assert sdk["errors"]["handshake"] == {"status": 400, "why": "encoding=linear16 needs a sample_rate"}


def test_livekit_hears_speech_begin_grow_and_end(server: Program) -> None:
    livekit = seen(server, "livekit_deepgram.py", "livekit-plugins-deepgram==1.8.9", "livekit-agents==1.8.9")
    kinds = [
        kind
        for kind, _ in livekit["live"]
        if kind in ("start_of_speech", "final_transcript", "end_of_speech")
    ]
    assert kinds == ["start_of_speech", "final_transcript", "end_of_speech"] * 3
    assert " ".join(text for kind, text in livekit["live"] if kind == "final_transcript") == WORDS
    assert "interim_transcript" in {kind for kind, _ in livekit["live"]}
    assert livekit["file"] == WORDS


def test_pipecat_has_its_finalize_confirmed(server: Program) -> None:
    pipecat = seen(server, "pipecat_deepgram.py", "pipecat-ai[deepgram]==1.14.0")
    assert pipecat["errors"] == []
    assert pipecat["interims"]
    (text, finalized), *others = pipecat["finals"]
    assert finalized
    assert text.startswith("good morning and")
    assert others[-1][0] == "he walked along the river until the sun went down"


def deepctl(server: Program, *arguments: str, sound: bytes = b"") -> str:
    """Return what Deepgram's command line prints."""
    python = python_environment("deepctl", "deepctl==0.4.0")
    command = [
        str(python.with_name("deepctl")),
        "--base-url",
        server.url,
        "--api-key",
        "-",
        "--non-interactive",
    ]
    done = subprocess.run([*command, *arguments], input=sound, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode()


def test_the_command_line_transcribes_a_file(server: Program) -> None:
    text = deepctl(server, "-o", "json", "listen", WAV)
    results = json.loads(text[text.index("{") :])["results"]
    assert results["channels"][0]["alternatives"][0]["transcript"] == WORDS


def test_the_command_line_makes_captions(server: Program) -> None:
    cues = deepctl(server, "listen", WAV, "--diarize", "--srt")
    assert "00:00:" in cues
    assert WORDS.split()[-1] in cues


def test_the_command_line_streams(server: Program) -> None:
    samples = (ROOT / "test.wav").read_bytes()[44:]
    heard = deepctl(server, "listen", "--encoding", "linear16", "-", sound=samples)
    assert all(sentence in heard for sentence in (ROOT / "test.txt").read_text().splitlines())
