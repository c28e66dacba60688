"""Run pipecat's DeepgramSTTService with a stream, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: host:port, a wav.
"""

import asyncio
import json
import sys
import wave

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.tests.utils import SleepFrame, run_test

host, path = sys.argv[1:]
SECOND = 32_000  # bytes


async def main() -> None:
    with wave.open(path) as file:
        sound = file.readframes(file.getnframes())
    service = DeepgramSTTService(api_key="none", base_url=f"http://{host}", sample_rate=16_000)
    frames: list[Frame] = []
    for start in range(0, len(sound), SECOND // 10):
        if start == 2 * SECOND:
            frames += [VADUserStoppedSpeakingFrame(), SleepFrame(sleep=2)]
        frames.append(
            InputAudioRawFrame(sound[start : start + SECOND // 10], sample_rate=16_000, num_channels=1)
        )
        frames.append(SleepFrame(sleep=0.1))
    frames += [VADUserStoppedSpeakingFrame(), SleepFrame(sleep=3)]
    down, up = await run_test(service, frames_to_send=frames)
    finals = [(frame.text, frame.finalized) for frame in down if isinstance(frame, TranscriptionFrame)]
    interims = [frame.text for frame in down if isinstance(frame, InterimTranscriptionFrame)]
    errors = [str(frame) for frame in [*down, *up] if isinstance(frame, ErrorFrame)]
    print(json.dumps({"finals": finals, "interims": interims, "errors": errors}))


asyncio.run(main())
