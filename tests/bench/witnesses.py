"""Collections that had no part in fixing the probe, as `eci validate` reads them: `python -m tests.bench.witnesses NAME SOURCE`.

webster: definitions of words and their quotations (SOURCE: `gcide.dict.dz` of Debian's package dict-gcide).
manuals: the line beside a manual page's name and its description (/usr/share/man, without Google's pages, which repeat).
ansible: short and long descriptions of modules (the unpacked wheel `ansible`).
botocore: the first sentence and the rest of what an operation does (`botocore/data` of the unpacked wheel `botocore`).

No text stands on two sides: the side is chosen by the beginning of the word or name, by the collection, by the service.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

Pair = tuple[str, str, str]
"""A query, its text, and what the side is chosen by."""


def place(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def write(root: Path, pairs: Iterable[Pair]) -> None:
    """Write a collection in BEIR's layout: 60 % train, 12 % dev, 28 % test."""
    (root / "qrels").mkdir(parents=True)
    corpus: list[str] = []
    queries: list[str] = []
    qrels: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    seen: set[str] = set()
    for query, text, by in pairs:
        if {query.lower(), text[:80].lower()} & seen:
            continue
        seen |= {query.lower(), text[:80].lower()}
        i, side = len(corpus), place("side" + by)
        corpus.append(json.dumps({"_id": f"d{i}", "text": text}))
        queries.append(json.dumps({"_id": f"q{i}", "text": query}))
        qrels["train" if side < 0.6 else "dev" if side < 0.72 else "test"].append(f"q{i}\td{i}\t1")
    (root / "corpus.jsonl").write_text("\n".join(corpus))
    (root / "queries.jsonl").write_text("\n".join(queries))
    for split, lines in qrels.items():
        (root / "qrels" / f"{split}.tsv").write_text("\n".join(lines))


def webster(file: Path) -> Iterator[Pair]:
    text = gzip.decompress(file.read_bytes()).decode(errors="replace")
    for entry in re.split(r"\n(?=[A-Z][\w`\"*'-]+ )", text):
        parts = re.split(r"\n\s*\n|\n\s+\d+\. ", re.sub(r"\[[^\]]*\]|\{|\}", "", entry))
        if place(entry[:60]) > 0.3 or len(parts) < 2:
            continue
        first = re.sub(r"^\d+\. ", "", " ".join(parts[1].split()))
        meaning = re.split(r"(?<=[a-z]\.) ", first)[0]
        rest = " ".join(" ".join(part.split()) for part in parts[2:])
        if 5 <= len(meaning.split()) <= 40 and len(rest) > 150:
            word = re.sub(r"[^\w-]", "", entry.split()[0])
            yield meaning, f"{word}: {rest}"[:900], word.lower()[:5]


def _plain(section: str) -> str:
    """Return the text of a section of a manual page, without its macros."""
    lines = [line for line in section.split("\n") if not line.startswith(('.\\"', "'\\\""))]
    lines = [re.sub(r"^\.[A-Z]{1,2}( |$)", "", line) for line in lines]
    text = " ".join(line.replace('"', "") for line in lines if not line.startswith("."))
    text = re.sub(r"\\f[BIRPCW0-9]|\\f\(..|\\&|\\,|\\/|\\c", "", text)
    text = text.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
    return " ".join(re.sub(r"\\\(..|\\\[[^]]*\]", "", text).split())


def manuals(root: Path) -> Iterator[Pair]:
    for path in sorted(root.glob("man[1-8]/*.gz")):
        if path.is_symlink() or path.name.startswith("gcloud"):
            continue
        page = gzip.decompress(path.read_bytes()).decode(errors="replace")
        parts = re.split(r"(?m)^\.(?:SH|Sh) +\"?([A-Z ]+)\"?$", page)
        sections = dict(zip(parts[1::2], parts[2::2], strict=False))
        name, text = _plain(sections.get("NAME", "")), _plain(sections.get("DESCRIPTION", ""))[:1200]
        short = name.partition(" - ")[2]
        if len(text) >= 150 and len(short.split()) >= 3:
            yield short, text, path.name[: max(4, len(path.name.split(".")[0]) // 2)]


def ansible(root: Path) -> Iterator[Pair]:
    for collection in sorted((root / "ansible_collections").glob("*/*")):
        files = sorted(collection.glob("plugins/modules/**/*.py"), key=lambda path: place(collection.name + path.name))
        for path in files[:60]:
            found = re.search(
                r"^DOCUMENTATION\s*=\s*r?(\"\"\"|''')(.*?)\1", path.read_text(errors="replace"), re.S | re.M
            )
            try:
                said = yaml.safe_load(found[2]) if found else None
            except yaml.YAMLError:
                continue
            if not isinstance(said, dict) or not said.get("short_description"):
                continue
            text = " ".join([_joined(said.get("description")), _joined(said.get("notes"))])
            for name, option in list((said.get("options") or {}).items())[:6]:
                text += f" {name}: " + (_joined(option.get("description")) if isinstance(option, dict) else "")
            text = re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", " ".join(text.split()))[:1200]
            short = str(said["short_description"])
            if len(text) > 150 and len(short.split()) >= 3:
                yield short, text, f"{collection.parent.name}.{collection.name}"


def _joined(said: object) -> str:
    return said if isinstance(said, str) else " ".join(str(part) for part in said) if isinstance(said, list) else ""


def botocore(root: Path) -> Iterator[Pair]:
    for service in sorted(path for path in root.iterdir() if path.is_dir()):
        newest = max(path for path in service.iterdir() if path.is_dir())
        model = json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
        operations = sorted(model["operations"].items(), key=lambda item: place(service.name + item[0]))
        for _, operation in operations[:25]:
            tagless = re.sub(r"<[^>]+>", " ", operation.get("documentation", ""))
            found = re.match(r"(.{20,200}?[a-z)]\.) (.{150,})", " ".join(html.unescape(tagless).split()))
            if found:
                yield found[1], found[2][:1200], service.name


MAKERS = {"webster": webster, "manuals": manuals, "ansible": ansible, "botocore": botocore}

if __name__ == "__main__":
    write(Path(sys.argv[1]), MAKERS[sys.argv[1]](Path(sys.argv[2])))
