"""Hold prose to plain words: docstrings, comments, messages and documents use the terms of the field.

docs/architecture.md has the terms. This test finds words that earlier versions used instead of them, and
docstrings whose first line is not a sentence.
"""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = (
    *(
        "audio",
        "vad",
        "asr",
        "postprocessing",
        "transcripts",
        "batching",
        "streaming",
        "engine",
        "journal",
        "server",
        "client",
    ),
    *("cli", "bench", "scripts"),
)
# History keeps its words.
HISTORY: Final = ("docs/decisions/", "docs/archive/", "bench/results-archive.md", "CHANGELOG.md")

BANNED: Final = re.compile(
    r"\b(doors?|dialects?|tellers?|stewards?|somebody|nobody|anybody|patience|chronicles?|comebacks?|house|rooms?"
    r"|shelf|shelves|pumps?|intakes?|takers?|told|who (has|is|was|does|comes)|whoever)\b",
    re.IGNORECASE,
)
# The first words of a fragment, and a list of parameters in the place of a sentence.
FRAGMENT: Final = re.compile(r"(Of|That|Who|Whose|Whoever|As|Raises|Without|But|And)\b|[a-z_]+(, [a-z_]+)*: ")
FUNCTION_FRAGMENT: Final = re.compile(r"(What|Where|How|Whether|Which|For|By|With|In|From|Until|Not|None)\b")

MARKDOWN_CODE: Final = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
SCRIPT_COMMENT: Final = re.compile(r"(?:^|\s)(?://|#|\*|/\*)\s.*")
STRINGS: Final = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def files(suffix: str) -> Iterator[Path]:
    """Yield the files of the product, bench and documents with this suffix."""
    for path in (
        *ROOT.glob(f"*{suffix}"),
        *(p for top in (*PACKAGES, "docs") for p in find(ROOT / top, suffix)),
    ):
        is_history = path.relative_to(ROOT).as_posix().startswith(HISTORY)
        if not is_history and not {"vendor", "node_modules"} & set(path.parts):
            yield path


def find(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.rglob(f"*{suffix}"))


def place(path: Path, line: int, found: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {found}"


def banned_in_python(path: Path) -> Iterator[str]:
    """Yield banned words in comments and in strings that contain a space."""
    if not BANNED.search(path.read_text()):
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT or (token.type in STRINGS and " " in token.string):
                for match in BANNED.finditer(token.string):
                    line = token.start[0] + token.string.count("\n", 0, match.start())
                    yield place(path, line, match.group())


def banned_in_markdown(path: Path) -> Iterator[str]:
    """Yield banned words outside code."""
    text = MARKDOWN_CODE.sub(lambda code: "\n" * code.group().count("\n"), path.read_text())
    for number, line in enumerate(text.splitlines(), 1):
        yield from (place(path, number, match.group()) for match in BANNED.finditer(line))


def banned_in_comments(path: Path) -> Iterator[str]:
    """Yield banned words in the comments of a script."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for comment in SCRIPT_COMMENT.finditer(line):
            yield from (place(path, number, match.group()) for match in BANNED.finditer(comment.group()))


def documented(node: ast.AST) -> Iterator[Documented]:
    """Yield the modules, classes and functions, without looking into expressions."""
    if isinstance(node, Documented):
        yield node
    for child in getattr(node, "body", ()):
        yield from documented(child)


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function is a property, whose docstring may say "Whether …"."""
    return any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list)


def fragments_in(path: Path) -> Iterator[str]:
    """Yield the first lines of docstrings that begin like a fragment."""
    for node in documented(ast.parse(path.read_bytes())):
        first = (ast.get_docstring(node) or "").partition("\n")[0]
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(node)
        if FRAGMENT.match(first) or (is_function and FUNCTION_FRAGMENT.match(first)):
            yield place(path, getattr(node, "lineno", 1), first)


def test_prose_has_no_banned_words() -> None:
    found = [
        *(each for path in files(".py") for each in banned_in_python(path)),
        *(each for path in files(".md") for each in banned_in_markdown(path)),
        *(
            each
            for suffix in (".js", ".sh", ".css")
            for path in files(suffix)
            for each in banned_in_comments(path)
        ),
    ]
    assert not found, "These words have plain ones (docs/architecture.md):\n" + "\n".join(found)


def test_docstrings_begin_with_a_sentence() -> None:
    found = [each for path in files(".py") for each in fragments_in(path)]
    assert not found, "These docstrings do not begin with a sentence:\n" + "\n".join(found)


def test_banned_words_and_fragments_are_found() -> None:
    assert [match.group() for match in BANNED.finditer("The Door; indoors, toldless, nobody")] == [
        "Door",
        "nobody",
    ]
    for text in ("Of a method.", "text: what is said", "Raises ValueError."):
        assert FRAGMENT.match(text)
    for text in ("Offer a value.", "Return: nothing", "The text of a page."):
        assert not FRAGMENT.match(text)
