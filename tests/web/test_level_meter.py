"""The waveform's numbers: the loudest sample of each step, and where speech was."""

from tests.web.browser import Modules

DRIVE = """
({ Levels, height }) => {
  const levels = new Levels();
  for (let i = 0; i < 500; i += 1) levels.add(Int16Array.of(0, i % 2 ? -16384 : 8192));
  levels.speech("a", 40);
  levels.speech("b", 400);
  levels.silence("a", 200);
  const speech = [0, 40, 199, 200, 400, 9999].map((ms) => levels.isSpeech(ms));
  levels.drop("b");
  const { endMs, latest } = levels;
  return { endMs, latest, forgotten: levels.at(0), kept: levels.at(498), speech, left: levels.isSpeech(500),
           heights: [1, 0.1, 0.01, 0].map(height) };
}
"""


async def test_peaks_and_speech_are_kept_for_a_while(modules: Modules) -> None:
    assert await modules.run("level_meter", DRIVE) == {
        "endMs": 20_000,
        "latest": 0.5,
        "forgotten": 0,
        "kept": 0.25,
        "speech": [False, True, True, False, True, True],
        "left": False,
        "heights": [1, 0.5, 0, 0],
    }
