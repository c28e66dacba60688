"""A part of a long wav file is cut without decoding the file."""

import io
import wave
from base64 import b64decode, b64encode
from typing import Any

import numpy as np

from tests.web.browser import Modules

CUT = """
async ({ LongWav }, [content, startMs, endMs]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const wav = await LongWav.open(new File([bytes], "long.wav"));
  if (!wav) return null;
  const part = new Uint8Array(await wav.toWav(startMs, endMs).arrayBuffer());
  const peaks = [...(await wav.peaks(4))];
  return { seconds: wav.seconds, peaks, part: btoa(String.fromCharCode(...part)) };
}
"""
RATE = 8000


def stereo(frames: int) -> tuple[bytes, np.ndarray[Any, Any]]:
    """Return a wav file of two channels, and its samples."""
    samples = np.arange(2 * frames, dtype=np.int16).reshape(-1, 2) * 2
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, RATE, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    return file.getvalue(), samples


async def cut(modules: Modules, content: bytes, start_ms: int, end_ms: int) -> Any:
    return await modules.run("long_wav", CUT, [b64encode(content).decode(), start_ms, end_ms])


async def test_part_has_exactly_its_samples(modules: Modules) -> None:
    content, samples = stereo(4000)
    found = await cut(modules, content, 100, 250)
    assert found["seconds"] == 0.5
    assert found["peaks"] == sorted(found["peaks"])
    assert found["peaks"][-1] > 0
    with wave.open(io.BytesIO(b64decode(found["part"]))) as part:
        assert part.getparams()[:3] == (2, 2, RATE)
        read = np.frombuffer(part.readframes(part.getnframes()), np.int16).reshape(-1, 2)
    assert np.array_equal(read, samples[800:2000])


async def test_wrong_length_in_the_header_does_not_matter(modules: Modules) -> None:
    content, _ = stereo(4000)
    at = content.index(b"data") + 4
    for size in (0, 0xFFFFFFFF):
        broken = content[:at] + size.to_bytes(4, "little") + content[at + 4 :]
        assert (await cut(modules, broken, 0, 100))["seconds"] == 0.5


async def test_other_files_are_not_cut(modules: Modules) -> None:
    assert await cut(modules, b"ID3" + bytes(100), 0, 100) is None
