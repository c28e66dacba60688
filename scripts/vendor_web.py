"""Copy what the page takes from others out of npm's folder: python -m scripts.vendor_web.

First `npm ci --prefix scripts/web`. The copies, with their licences, are part of the repository: the server
needs no npm, and no other host.
"""

import json
import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
WEB: Final = ROOT / "scripts" / "web"
MODULES: Final = WEB / "node_modules"
VENDOR: Final = ROOT / "server" / "web" / "static" / "vendor"
PACKAGE: Final = "wavesurfer.js"

# Files of the package, by where they lie in the page's folder.
COPIES: Final = {
    "wavesurfer/wavesurfer.esm.js": f"{PACKAGE}/dist/wavesurfer.esm.js",
    "wavesurfer/regions.esm.js": f"{PACKAGE}/dist/plugins/regions.esm.js",
    "wavesurfer/LICENSE": f"{PACKAGE}/LICENSE",
}
VERSION: Final = VENDOR / "wavesurfer" / "VERSION"


def locked_version() -> str:
    """Of the package, as package-lock.json has it."""
    lock = json.loads((WEB / "package-lock.json").read_text())
    version: str = lock["packages"][f"node_modules/{PACKAGE}"]["version"]
    return version


def main() -> None:
    for copy, original in COPIES.items():
        (VENDOR / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODULES / original, VENDOR / copy)
    VERSION.write_text(f"{locked_version()}\n")


if __name__ == "__main__":
    main()
