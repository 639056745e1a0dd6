"""What a reader would stumble over in a report: `python -m tests.report.look PAGE` looks at any page at every width, in light and
dark, without JavaScript and on paper."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.report.chromium import Page

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
WIDTHS = (1440, 820, 390)
PAPER = 718
"""Pixels of a page of A4 between margins of a centimetre."""
LOOKS = [(width, dark, scripts) for width in WIDTHS for dark, scripts in ((False, True), (True, True), (False, False))]
FOCUSABLE = """(() => { const all = [...document.querySelectorAll(
    'a[href], button, input, textarea, summary, [tabindex="0"]')].filter(e => !e.disabled && e.checkVisibility());
  all.forEach((e, i) => { e.dataset.number = String(i); }); return all.length; })()"""


def problems(url: str, width: int, dark: bool = False, scripts: bool = True, paper: bool = False) -> list[str]:
    """Return what is wrong with a page, in sentences."""
    page = Page().visit(
        url, width=width, dark=dark, scripts=scripts, paper=paper, script=f"({AUDIT})({str(paper).lower()})"
    )
    found = list(page.value)
    found += [f"console: {line}" for line in page.console + page.errors]
    return found + [f"asked for {address}" for address in page.requests if address != url]


def unreached(url: str, width: int) -> list[str]:
    """Return what Tab alone does not get to."""
    count = Page().visit(url, width=width, script=FOCUSABLE).value
    page = Page().visit(url, width=width, script=FOCUSABLE, tabs=count + 5)
    return sorted({str(i) for i in range(count)} - set(page.focused))


if __name__ == "__main__":
    address = Path(sys.argv[1]).resolve().as_uri()
    for look in LOOKS:
        print(look, problems(address, *look))
    print("paper", problems(address, PAPER, paper=True, scripts=False))
    print("keyboard", unreached(address, WIDTHS[0]))
