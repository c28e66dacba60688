"""Record from the microphone with the optional library sounddevice."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Final

from client.errors import AudioInputError

SAMPLE_RATE: Final = 16_000  # Hz
QUEUE_CHUNKS: Final = 100  # Most chunks that wait for the network; recording fails if there are more.


async def record(chunk_ms: int) -> AsyncIterator[bytes]:
    """Yield PCM16 mono chunks at 16 kHz until the iteration ends. Raises AudioInputError."""
    device = _device()
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_CHUNKS + 1)

    def put(chunk: bytes) -> None:
        if queue.qsize() < QUEUE_CHUNKS:
            queue.put_nowait(chunk)
        elif not queue.full():
            queue.put_nowait(None)

    def on_audio(data: Any, frames: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(put, bytes(data))

    try:
        microphone = device.RawInputStream(
            samplerate=SAMPLE_RATE,
            channels=1,
            dtype="int16",
            blocksize=SAMPLE_RATE * chunk_ms // 1000,
            callback=on_audio,
        )
    except device.PortAudioError as error:
        raise AudioInputError(f"the microphone cannot be opened: {error}") from error
    with microphone:
        while (chunk := await queue.get()) is not None:
            yield chunk
    raise AudioInputError(f"the network is {QUEUE_CHUNKS * chunk_ms / 1000:.0f} s behind the microphone")


def _device() -> Any:
    try:
        return import_module("sounddevice")
    except ModuleNotFoundError:
        raise AudioInputError("--mic needs the library sounddevice: pip install sounddevice") from None
    except OSError as error:  # The native library PortAudio is missing.
        raise AudioInputError(
            f"--mic needs PortAudio (Debian: apt install libportaudio2): {error}"
        ) from error
