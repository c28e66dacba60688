"""The end of the page stays in sight while it grows, until somebody scrolls up to read."""

from tests.web.browser import Modules

DRIVE = """
async ({ Follow }) => {
  const frames = async (count) => {
    for (let i = 0; i < count; i += 1) await new Promise(requestAnimationFrame);
  };
  const end = document.createElement("div");
  document.body.replaceChildren(end);
  const follow = new Follow(end);
  const log = [];
  const grow = async () => {
    const block = document.createElement("div");
    block.style.height = "700px";
    end.before(block);
    follow.grown();
    await frames(4);
    log.push(Math.round(end.getBoundingClientRect().top) <= innerHeight);
  };
  await grow();
  await grow();
  dispatchEvent(new WheelEvent("wheel", { deltaY: -1 }));
  await grow();
  end.scrollIntoView();
  await frames(4);
  await grow();
  return log;
}
"""


async def test_it_follows_until_it_is_told_not_to_and_again_at_the_end(modules: Modules) -> None:
    assert await modules.run("auto_scroll", DRIVE) == [True, True, False, True]
