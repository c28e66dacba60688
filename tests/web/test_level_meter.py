"""The level meter keeps the peak of each step and the spans of speech."""

from tests.web.browser import Modules

DRIVE = """
({ LevelMeter, barHeight }) => {
  const levels = new LevelMeter();
  for (let i = 0; i < 500; i += 1) levels.add(Int16Array.of(0, i % 2 ? -16384 : 8192));
  levels.startSpeech("a", 40);
  levels.startSpeech("b", 400);
  levels.endSpeech("a", 200);
  const speech = [0, 40, 199, 200, 400, 9999].map((ms) => levels.isSpeech(ms));
  levels.removeSpeech("b");
  const { endMs, latest } = levels;
  return { endMs, latest, overwritten: levels.peakAt(0), kept: levels.peakAt(498), speech,
           removed: levels.isSpeech(500), heights: [1, 0.1, 0.01, 0].map(barHeight) };
}
"""


async def test_peaks_and_speech_are_kept_for_16_seconds(modules: Modules) -> None:
    assert await modules.run("level_meter", DRIVE) == {
        "endMs": 20_000,
        "latest": 0.5,
        "overwritten": 0,
        "kept": 0.25,
        "speech": [False, True, True, False, True, True],
        "removed": False,
        "heights": [1, 0.5, 0, 0],
    }
