"""Print what a server recognizes in a file or from the microphone: python -m client file.wav."""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path

from client.audio_file import read_audio
from client.console import Console, to_json
from client.errors import ConnectFailed, SttClientError
from client.events import Event
from client.microphone import SAMPLE_RATE, record
from client.own_server import START_HINT, key_for, key_hint, server_url, settings
from client.pacing import at_once, in_real_time
from client.stream import connect
from client.stream_audio import stream_audio, take_until


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m client", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file", nargs="?", type=Path, help="audio or video file; all but wav files of PCM need the package av"
    )
    source.add_argument("--mic", action="store_true", help="listen to the microphone until Ctrl-C")
    parser.add_argument(
        "--url", help="default: where the environment and .env say that the server listens (HOST, PORT)"
    )
    parser.add_argument(
        "--key", help="default: STT_API_KEY, and without --url the first of API_KEYS, also in .env"
    )
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--realtime", action="store_true", help="send the file in real time (default)")
    pace.add_argument("--fast", action="store_true", help="send the file as fast as the server accepts it")
    parser.add_argument("--language", help="ISO 639-1 code")
    parser.add_argument(
        "--multichannel", action="store_true", help="transcribe each channel of the file apart, at most 8"
    )
    parser.add_argument("--words", action="store_true", help="print the times of words")
    parser.add_argument("--json", action="store_true", help="print every event as a line of JSON")
    parser.add_argument("--chunk-ms", type=int, default=100)
    options = parser.parse_args()
    if options.mic and options.multichannel:
        parser.error("--multichannel needs a file: the microphone has one channel")
    variables = settings()
    options.key = key_for(options.key, options.url, variables)
    options.url = options.url or server_url(variables, "ws") + "/ws/stt"
    return options


def source_of(options: argparse.Namespace) -> tuple[AsyncIterator[bytes], int, int | None]:
    """Return the chunks of the audio, its sample rate in Hz, and how many channels are kept apart."""
    if options.mic:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        return take_until(stop, record(options.chunk_ms)), SAMPLE_RATE, None
    audio = read_audio(options.file, apart=options.multichannel)
    chunks = audio.chunks(options.chunk_ms)
    paced = at_once(chunks) if options.fast else in_real_time(chunks, options.chunk_ms / 1000)
    return paced, audio.sample_rate, audio.channels if options.multichannel else None


async def transcribe(options: argparse.Namespace) -> None:
    """Print the events of the server. Raises SttClientError."""
    chunks, rate, channels = source_of(options)
    show: Callable[[Event], None] = Console(sys.stdout).show
    if options.json:
        show = _print_json
    async with connect(
        options.url,
        language=options.language,
        words=options.words,
        sample_rate=rate,
        channels=channels,
        key=options.key,
    ) as stream:
        await stream_audio(stream, chunks, show)


def _print_json(event: Event) -> None:
    print(to_json(event), flush=True)


def main() -> int:
    """Run the command; return the exit code."""
    options = arguments()
    try:
        asyncio.run(transcribe(options))
    except SttClientError as error:
        print(error, file=sys.stderr)
        if isinstance(error, ConnectFailed) and error.status is None:
            print(START_HINT, file=sys.stderr)
        elif isinstance(error, ConnectFailed) and error.status == HTTPStatus.UNAUTHORIZED:
            print(key_hint(options.key is not None), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
