"""Recording, as far as it goes without a microphone."""

import asyncio
import sys
import textwrap
from pathlib import Path

from tests.client.fake_server import standin

ROOT = Path(__file__).parents[2]


async def run_without(module: str, url: str) -> tuple[int | None, str]:
    """Exit code and stderr of `python -m client --mic` where a module cannot be imported."""
    program = f"""
        import runpy, sys
        sys.modules[{module!r}] = None
        sys.argv = ["client", "--mic", "--url", {url!r}]
        runpy.run_module("client", run_name="__main__")
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(program)), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    return process.returncode, err.decode()


async def test_without_the_library_it_says_how_to_install_it() -> None:
    async with standin() as server:
        code, err = await run_without("sounddevice", server.url)
    assert code == 2
    assert "pip install sounddevice" in err
