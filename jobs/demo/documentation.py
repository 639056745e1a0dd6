"""Question and answer pairs from the documentation of the installed libraries.

Covers: docstrings in the Python sources and stubs of the libraries in `LIBRARIES` and of the
standard library. The sources are parsed and never imported: they have no effect on this process.

Does not cover: docstrings of compiled extensions, tests and vendored copies, private names.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.demo.docstrings import split_docstring

STANDARD_LIBRARY = "python"
LIBRARIES = (
    "altair",
    "bm25s",
    "click",
    "dask",
    "distributed",
    "duckdb",
    "fsspec",
    "jinja2",
    "narwhals",
    "numpy",
    "onnxruntime",
    "packaging",
    "polars",
    "psutil",
    "pyarrow",
    "pydantic",
    "rich",
    "scipy",
    "threadpoolctl",
    "tokenizers",
    "toolz",
    "tornado",
    "typer",
)
SKIPPED = frozenset({"tests", "test", "_vendor", "vendor", "idlelib", "lib2to3", "site-packages"})

TRIPLE_QUOTE = re.compile(rb"\"{3}|'{3}")

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Docstring:
    """One docstring where it stands; the field order is the sort order of the corpus."""

    library: str
    module: str
    qualname: str
    text: str


@dataclass(frozen=True)
class DocPair:
    """A query, the first sentence of a docstring, and its positive, the prose that follows it."""

    query: str
    positive: str
    library: str
    module: str


def collect_pairs(limit: int = 4000) -> list[DocPair]:
    """Return at most `limit` pairs, sorted by library, module and qualified name.

    The same installation gives the same pairs. Where there are more than `limit`, those whose
    query has the smallest SHA-256 are kept, so a smaller sample is part of every larger one.

    Raises:
        ValueError: if `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    with _collector_paused():
        return sample_pairs(pair_docstrings(installed_docstrings()), limit)


def sample_pairs(pairs: list[DocPair], limit: int) -> list[DocPair]:
    """Return the `limit` pairs with the smallest SHA-256 of their query, in their first order."""
    if len(pairs) <= limit:
        return pairs
    by_hash = sorted(pairs, key=lambda pair: hashlib.sha256(pair.query.encode()).digest())
    kept = {pair.query for pair in by_hash[:limit]}
    return [pair for pair in pairs if pair.query in kept]


def pair_docstrings(docstrings: Iterable[Docstring]) -> list[DocPair]:
    """Turn docstrings into pairs; of a repeated query or positive the first in order is kept."""
    pairs: list[DocPair] = []
    seen: set[str] = set()
    for item in sorted(docstrings):
        split = split_docstring(item.text)
        if split is None:
            continue
        keys = {text.casefold() for text in split}
        if keys & seen:
            continue
        seen |= keys
        pairs.append(DocPair(*split, item.library, item.module))
    return pairs


def installed_docstrings() -> Iterator[Docstring]:
    """Yield every public docstring of the standard library and of those `LIBRARIES` present."""
    for name in sorted(sys.stdlib_module_names - SKIPPED):
        yield from package_docstrings(STANDARD_LIBRARY, name)
    for name in LIBRARIES:
        yield from package_docstrings(name, name)


def package_docstrings(library: str, package: str) -> Iterator[Docstring]:
    """Yield the public docstrings of one top-level package or module, none if it is absent."""
    try:
        # For a top-level name this locates the package without importing it.
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    roots = [Path(root) for root in spec.submodule_search_locations or ()]
    for root in roots:
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.pyi")]):
            inner = path.relative_to(root)
            if not _is_skipped(inner):
                yield from file_docstrings(library, _module_name(package, inner), path)
    if not roots and spec.has_location and spec.origin and spec.origin.endswith(".py"):
        yield from file_docstrings(library, package, Path(spec.origin))


def file_docstrings(library: str, module: str, path: Path) -> Iterator[Docstring]:
    """Yield the docstrings of one source file; a file that cannot be read or parsed has none."""
    try:
        source = path.read_bytes()
        if not TRIPLE_QUOTE.search(source):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for qualname, node in _definitions(tree, ""):
        text = ast.get_docstring(node)
        if text:
            yield Docstring(library, module, qualname, text)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Parse without cyclic garbage collection: trees hold no cycles, and it costs a third."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _definitions(node: Definition, qualname: str) -> Iterator[tuple[str, Definition]]:
    """Yield the module, its public classes and functions, and the public members of classes."""
    yield qualname, node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not child.name.startswith("_"):
            yield from _definitions(child, f"{qualname}.{child.name}".lstrip("."))


def _is_skipped(inner: Path) -> bool:
    parts = inner.with_suffix("").parts
    return any(p in SKIPPED or p == "conftest" or p.startswith("test_") for p in parts)


def _module_name(package: str, inner: Path) -> str:
    parts = [package, *inner.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
