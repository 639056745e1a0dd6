"""What a docstring says in prose: its first sentence and the rest.

Covers: plain, reStructuredText, numpydoc and Google docstrings.

Does not cover: parameter lists, examples, code and directives; these are left out, not parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

QUERY_WORDS = (4, 40)
POSITIVE_WORDS = (15, 150)

NOT_PROSE = ("TODO", "FIXME", "XXX", "Deprecated", "Copyright", "Added in version", "Thread safety")
PROSE_SECTIONS = frozenset({"notes", "note", "description", "details", "extended summary"})
_UNDERLINE = re.compile(r"^\s*([-=~^\"*#])\1{2,}\s*$")
_GOOGLE_SECTION = re.compile(
    r"^(args|arguments|parameters|params|returns?|raises|yields|examples?|attributes|usage|methods"
    r"|keyword arg(ument)?s|see also|references|options|todo)\s*:{1,2}\s*$",
    re.IGNORECASE,
)
_FIELD = re.compile(r"^\s*(:\w[^:`]*:(\s|$)|@\w+)")
_DIRECTIVE = re.compile(r"^\s*\.\.(\s|$)")
_CODE = re.compile(r"^\s*(>>>|\.\.\. |\$ |In \[\d|[%#!]|```|[|+][-=|+]|\w[\w.]*\(.*\)\s*(->.*)?$)")
_LIST_ITEM = re.compile(r"^\s*([-*+•o]|\d+[.)])\s+")
_SENTENCE = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!vs\.)(?<!cf\.)\s+(?=[\"'(]?[A-Z])")
_REPLACEMENTS = (
    (re.compile(r"`([^`'\s]+)'(?![\w`])"), r"'\1'"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`_{1,2}"), r"\1"),
    (re.compile(r":[\w:+-]+:`~?([^`]*)`"), r"\1"),
    (re.compile(r"(\[[\w#*]+\])_"), r"\1"),
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r"`~?([^`]+)`_{0,2}"), r"\1"),
    (re.compile(r"\*\*(\S(?:[^*]*\S)?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*(\w+)\*(?![\w*])"), r"\1"),
    (re.compile(r"!?\[([^\]]+)\]\[[^\]]*\]"), r"\1"),
    (re.compile(r"!?\[([^\]]+)\]\(https?:[^)]*\)"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def split_docstring(text: str) -> tuple[str, str] | None:
    """Return (first sentence, rest) of a docstring, or None where one of them is not worth having.

    The query has 4 to 40 words; the rest has at least 15 and is cut after 150, at the end of a
    sentence where there is one. White space is collapsed, markup taken away.
    """
    passages = [plain(paragraph) for paragraph in prose_paragraphs(text)]
    if not passages or not passages[0]:
        return None
    query, *follows = sentences(passages[0])
    positive = cut(" ".join(follows + passages[1:]), POSITIVE_WORDS[1])
    if not QUERY_WORDS[0] <= len(query.split()) <= QUERY_WORDS[1]:
        return None
    if len(positive.split()) < POSITIVE_WORDS[0] or not (_reads(query) and _reads(positive)):
        return None
    return query, positive


def sentences(text: str) -> list[str]:
    """Split plain text into sentences; a text without a full stop is one sentence."""
    return _SENTENCE.split(text.strip())


def cut(text: str, words: int) -> str:
    """Return at most `words` words of `text`, up to the last full sentence if it keeps half."""
    tokens = text.split()
    if len(tokens) <= words:
        return " ".join(tokens)
    kept = sentences(" ".join(tokens[: words + 1]))[:-1]
    whole = " ".join(kept)
    return whole if len(whole.split()) * 2 >= words else " ".join(tokens[:words])


def plain(paragraph: str) -> str:
    """Return the paragraph on one line without reStructuredText or Markdown markup."""
    for pattern, replacement in _REPLACEMENTS:
        paragraph = pattern.sub(replacement, paragraph)
    return paragraph.strip()


def prose_paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs that are prose, leaving out sections, code, fields and directives."""
    skip_deeper_than: int | None = None
    section_is_prose = True
    for block in re.split(r"\n\s*\n", text.expandtabs().strip("\n")):
        lines = block.split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        if len(lines) > 1 and _UNDERLINE.match(lines[1]):
            section_is_prose = lines[0].strip().lower().rstrip(":") in PROSE_SECTIONS
            skip_deeper_than, lines = None, lines[2:]
        if not section_is_prose or not lines:
            continue
        if skip_deeper_than is not None and indent > skip_deeper_than:
            continue
        skip_deeper_than = None
        if _GOOGLE_SECTION.match(lines[0]) or _DIRECTIVE.match(lines[0]):
            skip_deeper_than = indent
            continue
        kept = _prose_lines(lines)
        if block.rstrip().endswith("::"):
            skip_deeper_than = indent
        if kept and not kept[0].startswith(NOT_PROSE):
            yield _without_introduction(" ".join(kept))


def _without_introduction(paragraph: str) -> str:
    """Drop the last sentence of a paragraph when it only leads to code that was left out."""
    if not paragraph.endswith("::"):
        return paragraph
    return " ".join(sentences(paragraph)[:-1])


def _prose_lines(lines: list[str]) -> list[str]:
    """Return the lines before the first that is a field, directive or section; none of code."""
    kept: list[str] = []
    for line in lines:
        if _FIELD.match(line) or _DIRECTIVE.match(line) or _GOOGLE_SECTION.match(line):
            break
        if _CODE.match(line):
            return []
        if not _UNDERLINE.match(line):
            kept.append(_LIST_ITEM.sub("", line).strip())
    return kept


def _reads(text: str) -> bool:
    """Whether a text is mostly words and is not a notice that something is deprecated."""
    if re.search(r"\bdeprecated\b", text[:60], re.IGNORECASE):
        return False
    tokens = text.split()
    words = sum(bool(re.fullmatch(r"[\"'(]*[A-Za-z][A-Za-z'/-]*[\"').,;:!?]*", t)) for t in tokens)
    return words >= 0.7 * len(tokens) and "://" not in text[:40]
