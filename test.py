"""The smoke client: replays a wav to a running server in real time and prints what comes back.

    python test.py [file.wav] [--url ws://…] [--expect test.txt] [--fast]

Exits 0 when the stream ended in order (and the words were right), 1 when words differ or the server reported
an error, 2 when there was no stream.
"""

import argparse
import asyncio
import difflib
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dotenv import load_dotenv

from client import ClientError, ConnectFailed, Error, Event, Final, SpeechStopped, connect
from client.console import Console
from client.pacing import at_once, in_real_time
from client.stream_audio import play
from client.wav import read_wav

ROOT = Path(__file__).parent
CHUNK_MS = 100
NOT_WORDS = re.compile(r"[^\w']+")


def default_url() -> str:
    """Where main.py listens with the same environment and .env."""
    load_dotenv(ROOT / ".env")
    host = os.environ.get("HOST", "localhost")
    if host in ("0.0.0.0", "::", ""):
        host = "localhost"
    return f"ws://{host}:{os.environ.get('PORT', '5001')}/ws/stt"


def own_key() -> str | None:
    """The first of the server's API_KEYS, in the same environment; None without any."""
    load_dotenv(ROOT / ".env")
    first = os.environ.get("API_KEYS", "").partition(",")[0].strip()
    return first.rpartition(":")[2] or None


class Report:
    """Prints events as they come, with the time that each final took, and keeps what was said."""

    def __init__(self, fast: bool) -> None:
        self.finals: list[str] = []
        self.errors = 0
        self._screen = Console(sys.stdout)
        self._fast = fast
        self._started = time.monotonic()
        self._stopped: dict[str, float] = {}  # item_id to arrival of its speech_stopped

    def show(self, event: Event) -> None:
        note = ""
        match event:
            case SpeechStopped():
                self._stopped[event.item_id] = time.monotonic()
            case Final():
                self.finals.append(event.text)
                note = "" if self._fast else self._delays(event)
            case Error():
                self.errors += 1
            case _:
                pass
        self._screen.show(event, note)

    def _delays(self, final: Final) -> str:
        now = time.monotonic()
        behind_speech = (now - self._started) * 1000 - final.end_ms
        delays = f"{behind_speech:.0f} ms after its end"
        if final.item_id in self._stopped:
            delays += f", {(now - self._stopped[final.item_id]) * 1000:.0f} ms after the endpoint"
        return f"  [{delays}]"


async def replay(wav: Path, url: str, fast: bool, key: str | None = None) -> Report:
    """Plays the file into the server. Raises ClientError."""
    sound = read_wav(wav)
    print(f"{wav.name}: {sound.seconds:.1f} s at {sound.sample_rate} Hz to {url}", flush=True)
    async with connect(url, sample_rate=sound.sample_rate, binary=False, key=key) as stream:
        report = Report(fast)
        chunks = sound.chunks(CHUNK_MS)
        await play(stream, at_once(chunks) if fast else in_real_time(chunks, CHUNK_MS / 1000), report.show)
    return report


def words_of(text: str) -> list[str]:
    """The words, without case and punctuation."""
    return NOT_WORDS.sub(" ", text).casefold().split()


def difference(expected: Sequence[str], heard: Sequence[str]) -> str | None:
    """The two as one text, [-missing words-] and {+words too many+} marked; None if they are equal."""
    if expected == heard:
        return None
    pieces = []
    matcher = difflib.SequenceMatcher(None, expected, heard, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(" ".join(expected[a:b]))
            continue
        if a < b:
            pieces.append(f"[-{' '.join(expected[a:b])}-]")
        if c < d:
            pieces.append(f"{{+{' '.join(heard[c:d])}+}}")
    return " ".join(pieces)


def judge(report: Report, expected: str | None) -> int:
    """The exit code, after saying why."""
    if report.errors:
        print(f"The server reported {report.errors} error(s).")
        return 1
    if expected is None:
        return 0
    wrong = difference(words_of(expected), words_of(" ".join(report.finals)))
    if wrong is None:
        print("Every word is right.")
        return 0
    print(f"The words differ, [-missing-] {{+too many+}}:\n{wrong}")
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Replays a wav to a running server and prints what it hears."
    )
    parser.add_argument("wav", nargs="?", type=Path, default=ROOT / "test.wav")
    parser.add_argument("--url", help="default: HOST and PORT of the environment or .env")
    parser.add_argument(
        "--key", help="of a server that asks for one; default: STT_API_KEY of the environment"
    )
    parser.add_argument("--expect", type=Path, help="text file with the right words")
    parser.add_argument("--fast", action="store_true", help="as fast as the server takes it")
    options = parser.parse_args()
    url = options.url or default_url()
    key = options.key or os.environ.get("STT_API_KEY") or (None if options.url else own_key())
    try:
        expected = options.expect.read_text(encoding="utf-8") if options.expect else None
        report = asyncio.run(replay(options.wav, url, options.fast, key))
    except ConnectFailed as error:
        print(f"{error}\nIs the server running? Start it with ./entrypoint.sh or: python main.py")
        return 2
    except (ClientError, OSError) as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        return 130
    return judge(report, expected)


if __name__ == "__main__":
    sys.exit(main())
