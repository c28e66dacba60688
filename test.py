"""Replay an audio file to a running server in real time and print the transcript (smoke test).

    python test.py [FILE] [--url ws://…] [--expect test.txt] [--fast] [--multichannel]

The exit code is 0 if the stream ended in order and the words are right, 1 if words differ or the server
reported an error, and 2 if no stream could be opened or it was lost.
"""

import argparse
import asyncio
import difflib
import re
import sys
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from client import ConnectFailed, Error, Event, Final, SpeechStopped, SttClientError, connect
from client.audio_file import read_audio
from client.console import Console
from client.own_server import START_HINT, key_for, key_hint, server_url, settings
from client.pacing import at_once, in_real_time
from client.stream_audio import stream_audio

ROOT = Path(__file__).parent
CHUNK_MS = 100
NOT_WORDS = re.compile(r"[^\w']+")


class Report:
    """Print events with the delay of each final, and keep the texts of the finals."""

    def __init__(self, fast: bool) -> None:
        self.finals: dict[int | None, list[str]] = {}  # By channel; None if channels are mixed.
        self.errors = 0
        self._console = Console(sys.stdout)
        self._fast = fast
        self._started = time.monotonic()
        self._stopped: dict[str, float] = {}  # Time of arrival of speech_stopped by item_id.

    def show(self, event: Event) -> None:
        """Print an event."""
        note = ""
        match event:
            case SpeechStopped():
                self._stopped[event.item_id] = time.monotonic()
            case Final():
                self.finals.setdefault(event.channel, []).append(event.text)
                note = "" if self._fast else self._delays(event)
            case Error():
                self.errors += 1
            case _:
                pass
        self._console.show(event, note)

    @property
    def text(self) -> str:
        """Return the texts of the finals, one channel after the other."""
        channels = sorted(self.finals, key=lambda channel: channel or 0)
        return " ".join(text for channel in channels for text in self.finals[channel])

    def _delays(self, final: Final) -> str:
        now = time.monotonic()
        behind_speech = (now - self._started) * 1000 - final.end_ms
        delays = f"{behind_speech:.0f} ms after its end"
        if final.item_id in self._stopped:
            delays += f", {(now - self._stopped[final.item_id]) * 1000:.0f} ms after the endpoint"
        return f"  [{delays}]"


async def replay(wav: Path, url: str, fast: bool, key: str | None = None, *, apart: bool = False) -> Report:
    """Send the file to the server and return the report. Raises SttClientError.

    apart: whether its channels are transcribed apart
    """
    audio = read_audio(wav, apart=apart)
    print(f"{wav.name}: {audio.seconds:.1f} s at {audio.sample_rate} Hz to {url}", flush=True)
    channels = audio.channels if apart else None
    async with connect(
        url, sample_rate=audio.sample_rate, channels=channels, binary=False, key=key
    ) as stream:
        report = Report(fast)
        chunks = audio.chunks(CHUNK_MS)
        await stream_audio(
            stream, at_once(chunks) if fast else in_real_time(chunks, CHUNK_MS / 1000), report.show
        )
    return report


def words_of(text: str) -> list[str]:
    """Return the words without case and punctuation."""
    return NOT_WORDS.sub(" ", text).casefold().split()


def difference(expected: Sequence[str], recognized: Sequence[str]) -> str | None:
    """Return one text with [-missing words-] and {+additional words+} marked; None if both are equal."""
    if expected == recognized:
        return None
    pieces = []
    matcher = difflib.SequenceMatcher(None, expected, recognized, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(" ".join(expected[a:b]))
            continue
        if a < b:
            pieces.append(f"[-{' '.join(expected[a:b])}-]")
        if c < d:
            pieces.append(f"{{+{' '.join(recognized[c:d])}+}}")
    return " ".join(pieces)


def judge(report: Report, expected: str | None) -> int:
    """Print the verdict and return the exit code."""
    if report.errors:
        print(f"The server reported {report.errors} error(s).")
        return 1
    if expected is None:
        return 0
    wrong = difference(words_of(expected), words_of(report.text))
    if wrong is None:
        print("Every word is right.")
        return 0
    print(f"The words differ, [-missing-] {{+additional+}}:\n{wrong}")
    return 1


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Replay an audio file to a running server and print the transcript."
    )
    parser.add_argument("wav", nargs="?", type=Path, default=ROOT / "test.wav")
    parser.add_argument("--url", help="default: from HOST and PORT in the environment or .env")
    parser.add_argument(
        "--key",
        help="default: STT_API_KEY, and without --url the first of API_KEYS, also in .env",
    )
    parser.add_argument("--expect", type=Path, help="text file with the expected words")
    parser.add_argument("--fast", action="store_true", help="send the file as fast as the server accepts it")
    parser.add_argument(
        "--multichannel", action="store_true", help="transcribe each channel of the file apart, at most 8"
    )
    options = parser.parse_args()
    variables = settings()
    url = options.url or server_url(variables, "ws") + "/ws/stt"
    key = key_for(options.key, options.url, variables)
    try:
        expected = options.expect.read_text(encoding="utf-8") if options.expect else None
        report = asyncio.run(replay(options.wav, url, options.fast, key, apart=options.multichannel))
    except ConnectFailed as error:
        print(error)
        if error.status is None:
            print(START_HINT)
        elif error.status == HTTPStatus.UNAUTHORIZED:
            print(key_hint(key is not None))
        return 2
    except (SttClientError, OSError) as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        return 130
    return judge(report, expected)


if __name__ == "__main__":
    sys.exit(main())
