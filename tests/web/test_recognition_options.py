"""The plain choices of the page reach the server."""

import json

from playwright.async_api import Browser

from tests.server.server_process import Program
from tests.web.browser import Modules, open_page, wait_for_state
from tests.web.test_live_recording import start

# The session that the server reports after a change.
SETTINGS = """
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "session.updated") window.settings = message.session;
    });
  }
};
"""


async def test_choices_apply_to_a_live_session(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, script=SETTINGS) as page:
        await page.locator("#recognition-options > summary").click()
        await page.get_by_label("Words that may occur").fill("Silero, Parakeet")
        await page.locator("#exactness").select_option("exact")
        assert await page.get_by_label("Translate to English").is_disabled(), "this model cannot"
        await start(page)
        await wait_for_state(page, "() => window.settings")
        settings = await page.evaluate("settings")
        assert settings["hotwords"] == ["Silero", "Parakeet"]
        assert settings["vad"]["silence_ms"] == 900
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done.").wait_for()
        await page.reload()
        assert await page.locator("#hotwords").input_value() == "Silero, Parakeet"


FILE = """
({ RecognitionOptions }, values) => {
  const input = (name) => Object.assign(document.createElement("input"), { value: values[name] ?? "" });
  const translate = document.createElement("input");
  Object.assign(translate, { type: "checkbox", checked: values.translate });
  const diarize = document.createElement("input");
  Object.assign(diarize, { type: "checkbox", disabled: values.cannot });
  const multichannel = Object.assign(document.createElement("input"), { type: "checkbox" });
  const [language, model, hotwords, speed] = ["language", "model", "hotwords", "speed"].map(input);
  localStorage.clear();
  const elements = { language, model, hotwords, speed, translate, diarize, multichannel };
  const options = new RecognitionOptions(elements);
  diarize.checked = values.diarize;
  multichannel.checked = values.multichannel;
  for (const each of [hotwords, speed]) each.value = values[each === speed ? "speed" : "hotwords"] ?? "";
  return { file: options.file, job: options.job, query: options.query };
}
"""


async def test_choices_become_fields_of_a_file(modules: Modules) -> None:
    plain = (await modules.run("recognition_options", FILE, {"translate": False}))["file"]
    assert plain == {"fields": {"model": "default"}, "isTranslation": False}
    chosen = {"language": "de", "model": "large", "hotwords": "Silero,\n x" + "y" * 100, "speed": "fast"}
    found = (await modules.run("recognition_options", FILE, {**chosen, "translate": True}))["file"]
    assert found["isTranslation"] is True
    fields = found["fields"]
    assert (fields["language"], fields["model"]) == ("de", "large")
    assert json.loads(fields["keywords"]) == ["Silero"], "the server takes words of at most 100 characters"
    assert json.loads(fields["chunking_strategy"]) == {"type": "server_vad"}


async def test_choices_become_fields_of_a_job(modules: Modules) -> None:
    plain = (await modules.run("recognition_options", FILE, {"translate": False}))["job"]
    assert plain == {"model": "default"}
    chosen = {"language": "de", "model": "large", "hotwords": "Silero", "speed": "exact", "translate": True}
    fields = (await modules.run("recognition_options", FILE, chosen))["job"]
    assert json.loads(fields.pop("hotwords")) == ["Silero"]
    assert fields == {"language": "de", "model": "large", "task": "translate"}
    fast = (await modules.run("recognition_options", FILE, {"speed": "fast"}))["job"]
    assert fast is None, "jobs send their text in longer parts"


async def test_channels_take_the_place_of_a_search_for_speakers(modules: Modules) -> None:
    found = await modules.run("recognition_options", FILE, {"diarize": True, "multichannel": True})
    for fields in (found["file"]["fields"], found["job"]):
        assert fields == {"model": "default", "multichannel": "true"}
    assert found["query"] == {"diarize": "true"}, "a recording has its own tracks"
    translated = await modules.run("recognition_options", FILE, {"multichannel": True, "translate": True})
    assert translated["file"]["fields"] == {"model": "default"}


async def test_speakers_are_asked_for_if_the_server_can(modules: Modules) -> None:
    found = await modules.run("recognition_options", FILE, {"diarize": True})
    given = (found["file"]["fields"], found["job"], found["query"])
    assert [fields.get("diarize") for fields in given] == ["true", "true", "true"]
    translated = await modules.run("recognition_options", FILE, {"diarize": True, "translate": True})
    assert "diarize" not in translated["file"]["fields"], "translations know no speakers"
    cannot = await modules.run("recognition_options", FILE, {"diarize": True, "cannot": True})
    assert all(
        "diarize" not in fields for fields in (cannot["file"]["fields"], cannot["job"], cannot["query"])
    )
