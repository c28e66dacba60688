"""A recording can be played back: it becomes a wav file."""

import io
import wave

from tests.web.browser import Modules


async def test_recording_is_a_wav_of_all_audio(modules: Modules) -> None:
    function = """async ({ Recording }) => {
        const recording = new Recording(8000);
        for (let i = 0; i < 3; i += 1) recording.append(Int16Array.of(i, -i));
        const first = await recording.toWav().arrayBuffer();
        recording.append(new Int16Array(2 << 19).fill(7));
        recording.append(Int16Array.of(9));
        return [[...new Uint8Array(first)], recording.ms, recording.toWav().size];
    }"""
    content, ms, size = await modules.run("recording", function)
    with wave.open(io.BytesIO(bytes(content))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(9) == b"\0\0\0\0\1\0\xff\xff\2\0\xfe\xff"
    assert ms == ((6 + (2 << 19) + 1) / 8)
    assert size == 44 + 2 * (6 + (2 << 19) + 1)
