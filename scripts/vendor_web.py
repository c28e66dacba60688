"""Copy the libraries of the web page from node_modules: python -m scripts.vendor_web.

Run `npm ci --prefix scripts/web` first. The copies and their licences are part of the repository, so that the
server needs neither npm nor another host.
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

# Paths in VENDOR, and the paths in node_modules from which they are copied.
COPIES: Final = {
    "wavesurfer/wavesurfer.esm.js": f"{PACKAGE}/dist/wavesurfer.esm.js",
    "wavesurfer/regions.esm.js": f"{PACKAGE}/dist/plugins/regions.esm.js",
    "wavesurfer/LICENSE": f"{PACKAGE}/LICENSE",
}
VERSION: Final = VENDOR / "wavesurfer" / "VERSION"


def locked_version() -> str:
    """Return the version of the package in package-lock.json."""
    lock = json.loads((WEB / "package-lock.json").read_text())
    version: str = lock["packages"][f"node_modules/{PACKAGE}"]["version"]
    return version


def main() -> None:
    """Copy the files and write the version."""
    for copy, original in COPIES.items():
        (VENDOR / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODULES / original, VENDOR / copy)
    VERSION.write_text(f"{locked_version()}\n")


if __name__ == "__main__":
    main()
