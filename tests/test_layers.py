"""The house keeps its layers: who may import whom, who may name which library, and how long things get."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

# What of ours each room may import beside itself. The rooms below the line run nowhere in the server.
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "audio": set(),
    "batching": set(),
    "vad": {"audio", "batching"},
    "asr": {"audio", "batching"},
    "stream": {"audio", "batching", "vad", "asr"},
    "server": {"audio", "batching", "vad", "asr", "stream"},
    "main": {"server"},
    "cli": {"audio", "asr", "stream", "server"},
    # --
    "client": set(),
    "test": {"client"},
    "scripts": {"server"},
    "bench": {"audio", "batching", "vad", "asr", "stream", "server", "client"},
}

MODEL_FILES: Final = {
    "vad/silero.py",
    *(f"asr/{name}.py" for name in ("pretrained", "decoder", "whisper", "moonshine")),
    *(f"asr/{name}.py" for name in ("ctc", "transducer", "seq2seq", "quantized", "attention")),
}
ASYNCHRONOUS: Final = {
    "streaming/driver.py",
    "streaming/file_source.py",
    "streaming/threads.py",
    "engine/workers.py",
}
# Inside a function, where there is a CUDA driver, or where torch was imported already.
ASK_FOR_A_GPU: Final = {"asr/model_registry.py", "asr/memory_usage.py"}
PURE_DOORS: Final = {
    *(f"server/{name}.py" for name in ("wire", "preferences", "intake", "errors", "settings")),
    *(f"server/{name}.py" for name in ("catalogue", "shelf", "json_messages")),
    *(f"server/realtime_{name}.py" for name in ("session", "intake", "notes", "wire", "items")),
    *(f"server/{name}.py" for name in ("http_error", "languages", "multipart")),
    *(f"server/{name}.py" for name in ("rest_request", "rest_answer", "rest_schema")),
}

MOST_LINES: Final = 350
MOST_LINES_OF_A_FUNCTION: Final = 60


@dataclass(frozen=True)
class Import:
    """name: of the module, with dots; inside: of a function; typing: under `if TYPE_CHECKING`."""

    name: str
    inside: bool = False
    typing: bool = False

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Source:
    """One Python file of ours; path: from the root, with slashes."""

    path: str
    tree: ast.Module
    lines: int

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        return self.module.partition(".")[0]

    @cached_property
    def imports(self) -> list[Import]:
        return list(imports(self.tree))

    def names(self, library: str) -> bool:
        return any(found.top == library for found in self.imports)


def read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path.relative_to(ROOT).as_posix(), ast.parse(text), text.count("\n"))


def imports(node: ast.AST, inside: bool = False, typing: bool = False) -> Iterator[Import]:
    """All imports below a node. `from a import b` counts as a and as a.b, which may be a module."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, inside, typing) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, "imports say where from: no dots"
        yield Import(node.module, inside, typing)
        yield from (Import(f"{node.module}.{alias.name}", inside, typing) for alias in node.names)
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    typing = typing or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        yield from imports(child, inside, typing)


ROOMS: Final = sorted(
    folder.name
    for folder in ROOT.iterdir()
    if folder.is_dir() and folder.name != "tests" and any(folder.glob("*.py"))
)
SOURCES: Final = [
    read(path)
    for path in sorted([*ROOT.glob("*.py"), *(p for room in ROOMS for p in ROOT.glob(f"{room}/**/*.py"))])
]
MODULES: Final = {source.module: source for source in SOURCES}


def named_by(library: str) -> set[str]:
    """The paths of the files that import a library."""
    return {source.path for source in SOURCES if source.names(library)}


def test_each_room_imports_only_the_rooms_below_it() -> None:
    wrong = [
        f"{source.path} imports {found.name}"
        for source in SOURCES
        for found in source.imports
        if found.top in MAY_IMPORT and found.top not in MAY_IMPORT[source.room] | {source.room}
    ]
    assert wrong == []


def test_every_room_has_its_place_in_the_order() -> None:
    assert {source.room for source in SOURCES} == MAY_IMPORT.keys()


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        module: {i.name for i in source.imports if i.name in MODULES and not i.typing and i.name != module}
        for module, source in MODULES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names them


def test_only_the_server_knows_the_web_framework() -> None:
    web = named_by("fastapi") | named_by("starlette")
    assert {path for path in web if not path.startswith("server/")} == set()


def test_only_the_files_of_a_model_know_torch() -> None:
    inside = {path for path in named_by("torch") | named_by("transformers") if not path.startswith("bench/")}
    assert inside - ASK_FOR_A_GPU <= MODEL_FILES
    asking = (source for source in SOURCES if source.path in ASK_FOR_A_GPU)
    assert [i.name for source in asking for i in source.imports if i.top == "torch" and not i.inside] == []


def test_what_decides_does_not_wait() -> None:
    """asyncio stands in no room of sound, of stream only where work is carried, and not in pure doors."""
    asynchronous = named_by("asyncio")
    rooms = {path for path in asynchronous if path.startswith(("audio/", "vad/", "asr/", "stream/"))}
    assert rooms <= ASYNCHRONOUS
    assert asynchronous & PURE_DOORS == set()


def test_a_process_of_the_recognizer_that_imports_main_imports_nothing_else() -> None:
    at_once = {found.top for found in MODULES["main"].imports if not (found.inside or found.typing)}
    assert at_once <= sys.stdlib_module_names


def test_files_are_short() -> None:
    long = {s.path: s.lines for s in SOURCES if s.lines > MOST_LINES and s.room != "bench"}
    assert long == {}


def test_functions_are_short() -> None:
    long = [
        f"{source.path}: {node.name}"
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []
