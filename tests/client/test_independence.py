"""client/ imports no other package of the repository."""

import ast
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "client"
ALLOWED = {"client", "websockets", "sounddevice"}
# Not by `import client`.
ALLOWED_IN = {"jobs.py": {"httpx"}, "own_server.py": {"dotenv"}, "audio_file.py": {"av"}}


def imported_by(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_it_imports_the_standard_library_and_websockets_only() -> None:
    for path in CLIENT.glob("*.py"):
        assert imported_by(path) - ALLOWED - ALLOWED_IN.get(path.name, set()) <= sys.stdlib_module_names, (
            path.name
        )
