"""Synthesize test.wav from the sentences in test.txt, with pauses between them: 16 kHz mono PCM16.

The voice is rms of flite (Debian: apt-get install flite). The same text gives the same bytes.
"""

import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_RATE = 16_000
FRAME = SAMPLE_RATE // 100  # samples; 10 ms
LEAD, PAUSE, TAIL = SAMPLE_RATE // 2, SAMPLE_RATE, SAMPLE_RATE  # samples of silence
SILENCE_PEAK = 200  # of 32,768; flite's own silence stays below it

Pcm = NDArray[np.int16]


def synthesize(sentence: str) -> Pcm:
    """Return a spoken sentence, int16 (n,) at 16 kHz, with flite's own silence around the words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sentence.wav"
        subprocess.run(["flite", "-voice", "rms", "-t", sentence, "-o", str(path)], check=True)
        with wave.open(str(path)) as file:
            if file.getframerate() != SAMPLE_RATE:
                raise ValueError(f"flite returned {file.getframerate()} Hz, not {SAMPLE_RATE} Hz")
            return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)


def trim(samples: Pcm) -> Pcm:
    """Return the samples without the silence before and after the words, in whole frames."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.abs(frames.astype(np.int32)).max(axis=1) > SILENCE_PEAK)
    return frames[loud[0] : loud[-1] + 1].ravel()


def speak(sentences: list[str]) -> Pcm:
    """Return the sentences one after another with pauses, int16 (n,)."""
    pieces = [np.zeros(LEAD, np.int16)]
    for sentence in sentences:
        pieces += [trim(synthesize(sentence)), np.zeros(PAUSE, np.int16)]
    return np.concatenate([*pieces[:-1], np.zeros(TAIL, np.int16)])


def write(path: Path, samples: Pcm) -> None:
    """Write samples to a wav file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def main() -> None:
    """Write test.wav."""
    if shutil.which("flite") is None:
        sys.exit("make_test_wav.py needs the command flite: apt-get install flite")
    write(ROOT / "test.wav", speak((ROOT / "test.txt").read_text().splitlines()))


if __name__ == "__main__":
    main()
