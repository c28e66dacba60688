"""Run pipecat's OpenAIRealtimeSTTService with a stream, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: WebSocket URL, a wav at 16 kHz.
"""

import asyncio
import json
import sys
import wave
from typing import Any

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.tests.utils import SleepFrame, run_test

url, path = sys.argv[1:]
SECOND = 32_000  # bytes
with wave.open(path) as file:
    sound = file.readframes(file.getnframes()) + bytes(SECOND)


async def heard(commits: list[float], **settings: Any) -> dict[str, list[str]]:
    """Run the service. commits: seconds at which pipecat's own detector reported the end of speech."""
    service = OpenAIRealtimeSTTService(api_key="none", base_url=url, **settings)
    due = [round(second * 10) for second in commits]
    frames: list[Frame] = []
    for number, start in enumerate(range(0, len(sound), SECOND // 10)):
        if number in due:
            frames.append(VADUserStoppedSpeakingFrame())
        piece = sound[start : start + SECOND // 10]
        frames += [InputAudioRawFrame(piece, sample_rate=16_000, num_channels=1), SleepFrame(sleep=0.1)]
    frames.append(SleepFrame(sleep=3))
    down, up = await run_test(service, frames_to_send=frames)
    return {
        "finals": [frame.text for frame in down if isinstance(frame, TranscriptionFrame)],
        "interims": [frame.text for frame in down if isinstance(frame, InterimTranscriptionFrame)],
        "errors": [str(frame) for frame in [*down, *up] if isinstance(frame, ErrorFrame)],
    }


async def main() -> None:
    by_hand = await heard([3.5, 7.5, 12.5])
    server = await heard(
        [],
        turn_detection={"type": "server_vad"},
        settings=OpenAIRealtimeSTTService.Settings(model="gpt-transcribe"),
    )
    print(json.dumps({"by_hand": by_hand, "server_vad": server}))


asyncio.run(main())
