"""A translated file has segments with times, though its endpoint sends no events."""

import base64
from pathlib import Path

from playwright.async_api import Browser

from tests.server.server_process import Program
from tests.web.browser import SENTENCES, open_page
from tests.web.media_files import make_file

UPLOAD = """
async (content) => {
  const module = document.querySelector("script[src]").src.replace("app.js", "file_upload.js");
  const { FileUpload } = await import(module);
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const events = [];
  await new Promise((resolve) => {
    new FileUpload("/v1/audio/translations", {
      isTranslation: true,
      headers: {},
      offsetMs: 5000,
      fields: { model: "default", file: new File([bytes], "speech.wav") },
      onEvent: (event) => {
        if (event.type !== "progress") events.push(event);
        if (event.type === "ended" || event.type === "failed") resolve();
      },
    });
  });
  return events;
}
"""


async def test_translation_gives_segments_with_times(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    content = base64.b64encode(make_file(tmp_path, "wav").read_bytes()).decode()
    async with open_page(browser, speech.url) as page:
        segment, end = await page.evaluate(UPLOAD, content)
    assert (segment["type"], segment["text"]) == ("segment", SENTENCES[0])
    assert 5000 <= segment["startMs"] < segment["endMs"] < 10_000
    assert end == {"type": "ended", "language": "en"}
