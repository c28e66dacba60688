"""The end of the page stays in view while content is added, until the user scrolls up."""

from tests.web.browser import Modules

DRIVE = """
async ({ AutoScroll }) => {
  const frames = async (count) => {
    for (let i = 0; i < count; i += 1) await new Promise(requestAnimationFrame);
  };
  const end = document.createElement("div");
  document.body.replaceChildren(end);
  const autoScroll = new AutoScroll(end);
  const log = [];
  const add = async () => {
    const block = document.createElement("div");
    block.style.height = "700px";
    end.before(block);
    autoScroll.contentAdded();
    await frames(4);
    log.push(Math.round(end.getBoundingClientRect().top) <= innerHeight);
  };
  await add();
  await add();
  dispatchEvent(new WheelEvent("wheel", { deltaY: -1 }));
  await add();
  end.scrollIntoView();
  await frames(4);
  await add();
  return log;
}
"""


async def test_scrolling_stops_at_scroll_up_and_resumes_at_the_end(modules: Modules) -> None:
    assert await modules.run("auto_scroll", DRIVE) == [True, True, False, True]
