"""Imports between packages run one way, typing imports included and without exemptions."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

# The packages of ours that each package may import, besides itself.
BELOW_STREAMING: Final = {"audio", "batching", "vad", "asr", "diarization", "postprocessing"}
BELOW_JOBS: Final = BELOW_STREAMING | {"transcripts", "streaming", "engine", "downloads"}
BELOW_SERVER: Final = BELOW_JOBS | {"journal", "jobs"}
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "audio": set(),
    "batching": set(),
    "vad": {"audio", "batching"},
    "asr": {"audio", "batching"},
    "postprocessing": {"asr", "audio"},
    "diarization": {"audio", "batching", "asr"},
    "transcripts": {"asr", "audio", "diarization", "postprocessing"},
    "streaming": BELOW_STREAMING,
    "engine": BELOW_STREAMING | {"transcripts", "streaming"},
    "downloads": {"streaming"},  # its threads
    "journal": BELOW_STREAMING | {"streaming", "engine"},
    "jobs": BELOW_JOBS,
    "server": BELOW_SERVER,
    "main": {"server"},
    "cli": BELOW_SERVER | {"server", "client"},
    # These do not run in the server.
    "client": set(),
    "test": {"client"},
    "scripts": {"server"},
    "bench": BELOW_SERVER | {"server", "client"},
}

# The parts of `server` that each part may import, besides itself.
SERVER_MAY_IMPORT: Final[dict[str, set[str]]] = {
    "errors": set(),
    "validation": set(),
    "observability": {"errors"},
    "http": {"errors", "validation", "observability"},
    "auth": {"errors", "validation", "observability", "http"},
    "settings": {"validation", "auth", "observability"},
    "admission": {"errors", "auth"},
    "connection": {"errors", "observability", "http", "auth", "settings", "admission"},
    "protocols": {
        *("errors", "validation", "observability", "http", "auth", "settings", "admission", "connection"),
    },
    "web": {"errors", "settings"},
    "lifecycle": {"observability", "settings", "admission", "connection"},
}
SERVER_MAY_IMPORT["app"] = set(SERVER_MAY_IMPORT)
MAX_MODULES_AT_THE_TOP_OF_SERVER: Final = 6

MODEL_FILES: Final = {
    "vad/silero_torch.py",
    "postprocessing/punctuation_model.py",
    *(f"diarization/{name}.py" for name in ("campplus", "pyannet", "speaker_network", "streaming_network")),
    *(f"asr/{name}.py" for name in ("transformers_base", "batch_log_mel", "cuda_graph", "greedy_decoder")),
    *(f"asr/{name}.py" for name in ("whisper", "moonshine")),
    *(f"asr/{name}.py" for name in ("ctc", "transducer", "seq2seq", "int8_linear", "bf16_attention")),
}
# These import torch inside a function, where there is a CUDA driver or torch was imported before.
ASK_FOR_A_GPU: Final = {"asr/devices.py", "asr/memory_usage.py"}
ASYNCHRONOUS: Final = {
    "postprocessing/chat.py",
    "postprocessing/summary.py",
    "streaming/driver.py",
    "streaming/file_source.py",
    "streaming/multichannel.py",
    "streaming/spool.py",
    "streaming/threads.py",
}
# The modules of a wire protocol that do I/O; all others only decide.
PROTOCOL_IO: Final = {
    *("endpoint", "live_endpoint", "file_endpoint", "models_endpoint", "share_endpoint", "client_secrets"),
}


@dataclass(frozen=True)
class Import:
    """One imported name, with dots; `inside` a function; `typing`: under `if TYPE_CHECKING`."""

    name: str
    inside: bool = False
    typing: bool = False

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Source:
    """One Python file of ours; its path is relative to the root and has slashes."""

    path: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @cached_property
    def imports(self) -> list[Import]:
        return list(imports(self.tree))

    def names(self, library: str) -> bool:
        return any(found.top == library for found in self.imports)


def read(path: Path) -> Source:
    return Source(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))


def imports(node: ast.AST, inside: bool = False, typing: bool = False) -> Iterator[Import]:
    """Yield all imports below a node. `from a import b` counts as a and as a.b, which may be a module."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, inside, typing) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, "imports name their module: no dots"
        yield Import(node.module, inside, typing)
        yield from (Import(f"{node.module}.{alias.name}", inside, typing) for alias in node.names)
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    typing = typing or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        yield from imports(child, inside, typing)


PACKAGES: Final = sorted(
    folder.name
    for folder in ROOT.iterdir()
    if folder.is_dir() and folder.name != "tests" and any(folder.glob("*.py"))
)
SOURCES: Final = [
    read(path)
    for path in sorted([*ROOT.glob("*.py"), *(p for name in PACKAGES for p in ROOT.glob(f"{name}/**/*.py"))])
]
MODULES: Final = {source.module: source for source in SOURCES}


def named_by(library: str) -> set[str]:
    """Return the paths of the files that import a library."""
    return {source.path for source in SOURCES if source.names(library)}


def part_of(module: str, depth: int) -> str | None:
    """Return the name at a depth of a dotted module name, if it has one."""
    parts = module.split(".")
    return parts[depth] if len(parts) > depth else None


def crossings(prefix: str, allowed: dict[str, set[str]]) -> list[str]:
    """Return the imports between the parts below a package that are not allowed."""
    depth = prefix.count(".") + 1 if prefix else 0
    wrong = []
    for source in SOURCES:
        if prefix and not source.module.startswith(f"{prefix}."):
            continue
        own = part_of(source.module, depth)
        for found in source.imports:
            if prefix and not found.name.startswith(f"{prefix}."):
                continue
            other = part_of(found.name, depth)
            if own != other and other in allowed and other not in allowed[own or ""]:
                wrong.append(f"{source.path} imports {found.name}")
    return wrong


def test_each_package_imports_only_the_packages_below_it() -> None:
    assert crossings("", MAY_IMPORT) == []


def test_every_package_has_its_place_in_the_order() -> None:
    assert {source.package for source in SOURCES} == MAY_IMPORT.keys()


def test_each_part_of_the_server_imports_only_the_parts_below_it() -> None:
    assert crossings("server", SERVER_MAY_IMPORT) == []


def test_every_part_of_the_server_has_its_place_in_the_order() -> None:
    parts = {part_of(s.module, 1) for s in SOURCES if s.package == "server"} - {None}
    assert parts == SERVER_MAY_IMPORT.keys()
    TopologicalSorter(SERVER_MAY_IMPORT).prepare()  # raises CycleError


def test_a_wire_protocol_imports_no_other_wire_protocol() -> None:
    protocols = {path.parent.name for path in ROOT.glob("server/protocols/*/__init__.py")}
    assert {"native", "openai_realtime", "openai_audio", "deepgram"} <= protocols
    assert crossings("server.protocols", {name: set() for name in protocols} | shared_by_protocols()) == []


def shared_by_protocols() -> dict[str, set[str]]:
    """Return the modules of server/protocols/ itself; they import no wire protocol, but each other."""
    shared = {path.stem for path in ROOT.glob("server/protocols/*.py")} - {"__init__"}
    protocols = {path.parent.name for path in ROOT.glob("server/protocols/*/__init__.py")}
    return {name: set(shared) for name in shared} | {name: set(shared) for name in protocols}


def test_the_top_of_the_server_is_short() -> None:
    assert len(list(ROOT.glob("server/*.py"))) <= MAX_MODULES_AT_THE_TOP_OF_SERVER


def test_every_package_states_its_purpose() -> None:
    inits = [source for source in SOURCES if source.path.endswith("__init__.py")]
    assert [s.path for s in inits if "." in s.module and not ast.get_docstring(s.tree)] == []
    folders = {path.parent for path in ROOT.glob("server/**/*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        module: {i.name for i in source.imports if i.name in MODULES and i.name != module}
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
    """Synchronous packages, and a wire protocol's input, output and options, import no asyncio."""
    asynchronous = named_by("asyncio")
    packages = ("audio/", "vad/", "asr/", "diarization/", "postprocessing/", "transcripts/", "streaming/")
    assert {path for path in asynchronous if path.startswith(packages)} <= ASYNCHRONOUS
    protocols = {path for path in asynchronous if path.startswith("server/protocols/")}
    assert {Path(path).stem for path in protocols} <= PROTOCOL_IO


def test_a_model_process_that_imports_main_imports_nothing_else() -> None:
    at_once = {found.top for found in MODULES["main"].imports if not (found.inside or found.typing)}
    assert at_once <= sys.stdlib_module_names
