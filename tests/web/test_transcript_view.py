"""Texts have the direction and the language of what was said."""

from typing import Any

from tests.web.browser import Modules

SHOW = """
async ({ TranscriptView }, finals, load) => {
  const { Transcript } = await load("transcript");
  const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  const list = document.body.appendChild(document.createElement("div"));
  const end = document.body.appendChild(document.createElement("div"));
  end.id = "end";
  const view = new TranscriptView(list, document.importNode(page.querySelector("#segment"), true), {});
  const transcript = new Transcript({ kind: "file", title: "talk", language: finals[0].language });
  for (const final of finals) transcript.setFinal({ words: [], startMs: 0, endMs: 1000, ...final });
  view.show(transcript);
  const texts = [...list.querySelectorAll(".text")].map((text) => ({
    lang: text.lang,
    direction: getComputedStyle(text).direction,
    words: [...text.querySelectorAll(".word")].map((word) => word.textContent),
  }));
  const lang = list.lang;
  list.remove();
  end.remove();
  return { texts, lang };
}
"""


async def show(modules: Modules, *finals: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = await modules.run("transcript_view", SHOW, finals)
    return found


async def test_each_text_has_its_direction_and_language(modules: Modules) -> None:
    shown = await show(
        modules,
        {"id": "a", "text": "صباح الخير", "language": "ar"},
        {"id": "b", "text": "good morning", "language": "en"},
        {"id": "c", "text": "שלום", "language": None},
    )
    assert shown["lang"] == "ar"
    assert [(text["lang"], text["direction"]) for text in shown["texts"]] == [
        ("ar", "rtl"),
        ("en", "ltr"),
        ("", "rtl"),
    ]


async def test_languages_without_spaces_have_words(modules: Modules) -> None:
    word = {"text": "今日は天気がいいです。", "startMs": 0, "endMs": 1000, "confidence": 0.9}
    shown = await show(modules, {"id": "a", "text": word["text"], "words": [word], "language": "ja"})
    words = shown["texts"][0]["words"]
    assert len(words) >= 4
    assert "".join(words) == word["text"]
