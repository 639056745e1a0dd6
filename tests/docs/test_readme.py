"""The READMEs say what the code does: every command and option, the columns, and commands that run as they stand.

What each has a reader run (tests.docs.readme.Readme.steps) is run here in its order, long things on small data, in a
folder of its own: README.md's holds the files that it names, the others' also what its `make demo` wrote. All steps are
in this file, and README.md's come first, so that one process makes the demo once.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from jobs.cli import app
from jobs.formats import FORMATS
from tests.docs.readme import README, READMES, ROOT, Readme, Step, named, of_text
from tests.docs.reference import GENERATED, leaves
from tests.docs.stand_ins import furnish, shortened

MOST_LINES = 250
EVERY = pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
STEPS = [(readme, step) for readme in READMES for step in readme.steps]


@pytest.mark.parametrize("marker", GENERATED)
def test_the_generated_part_is_as_the_code_says(marker):
    name, generate = GENERATED[marker]
    assert named(name).between(marker) == generate(), "`make docs` writes it"


def test_the_first_page_and_the_room_name_every_format():
    reads = next(line for line in README.text.splitlines() if line.startswith("| reads |"))
    assert {name for name in FORMATS if f"`{name}`" in reads} == FORMATS.keys()
    words = {10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen"}
    assert f" {words[len(FORMATS)]} formats" in " ".join(named("jobs/formats/README.md").text.split())


def test_every_command_has_a_mention_that_a_person_wrote():
    generated = [named(name).between(marker) or "" for marker, (name, _) in GENERATED.items()]
    prose = "\n".join(readme.text for readme in READMES)
    for part in generated:
        prose = prose.replace(part, "")
    paths = [path for path, _ in leaves(typer.main.get_command(app), "eci")]
    assert [path for path in paths if path not in prose] == [], "commands without a how-to"


def test_a_generated_part_is_put_between_its_markers():
    text = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n"
    filled = of_text(of_text(text).filled("a", r"new \1"))
    assert filled.between("a") == r"new \1"
    assert filled.text == text.replace("old", r"new \1")


def test_the_readme_is_short():
    assert len(README.text.splitlines()) <= MOST_LINES, "README.md is for users; the rest belongs to the folders"


@EVERY
def test_every_relative_link_leads_somewhere(readme):
    anchors = {other.path: other.anchors for other in READMES}
    broken = []
    for link in readme.links():
        path, anchor = readme.where(link)
        if not path.exists() or (anchor and anchor not in anchors.get(path, ())):
            broken.append(link)
    assert broken == []


def test_links_and_headings_are_those_that_github_makes():
    readme = of_text("# A `b`, c: d?\n\n## Same\n\n## Same\n\n[x](#same-1) `[y](#no)` ![z](a.png) [w](https://x.y)\n")
    assert readme.anchors == {"a-b-c-d", "same", "same-1"}
    assert readme.links() == ["#same-1", "a.png"]


@EVERY
def test_every_readme_is_named_by_the_first_one_or_by_that_of_jobs(readme):
    linked = {by.where(link)[0] for by in (README, named("jobs/README.md")) for link in by.links()}
    assert readme is README or readme.path in linked


def test_every_room_is_named_in_the_readme_of_jobs():
    """A room is a folder of jobs/ with modules; each is a row of a table there, and no row is of another thing."""
    rooms = {path.parent.name for path in (ROOT / "jobs").glob("*/__init__.py")}
    rows = re.findall(r"^\| \[?`(\w+)/`", named("jobs/README.md").text, re.MULTILINE)
    assert sorted(rows) == sorted(rooms)


@EVERY
def test_every_module_that_is_named_is_there(readme):
    spans = re.findall(r"`([\w/]+\.(?:py|sql))`", readme.prose)
    roots = (readme.path.parent, ROOT, ROOT / "tests")
    assert [span for span in spans if not any((root / span).exists() for root in roots)] == []


@EVERY
def test_a_readme_that_goes_on_from_the_demo_says_so_first(readme):
    if readme is not README and any("demo-out" in step.text for step in readme.steps):
        assert "eci demo --out demo-out" in readme.text.split("\n## ")[0]


@EVERY
def test_no_command_line_is_left_out(readme):
    """Every line of a block that reads as a command is among the steps, which `test_a_step_runs` runs."""
    run = {step.text for step in readme.steps if step.kind == "command"}
    left = [line for line in readme.command_lines() if line not in run]
    assert left == [], "write it in a ```console block, after `$ `"


@pytest.mark.parametrize(
    "text",
    ["    eci rank --out X\n", "```text\neci rank --out X\n```\n", "```console\neci rank --out X\n```\n",
     "    $ eci rank --out X\n", "```ini\nExecStop=/opt/bin/eci rank\n```\n\n    python -c 'print()'\n"],
)  # fmt: skip
def test_a_command_line_outside_the_console_blocks_is_found(text):
    assert of_text(text).command_lines() and not of_text(text).steps


def test_steps_are_found_wherever_a_reader_finds_them():
    text = """
```console
$ eci run \\
    --out X
some output
$ echo $?
3
```
```text
30 2 * * *  A=1 /opt/eci run
```
```python
import jobs
```
"""
    assert of_text(text).steps == [
        Step("command", "eci run --out X", 3), Step("command", "A=1 /opt/eci run"), Step("python", "import jobs"),
    ]  # fmt: skip


@EVERY
def test_commands_within_the_text_name_commands_and_options_that_there_are(readme):
    root = typer.main.get_command(app)
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for span in readme.inline_commands():
        words = shlex.split(span)[1:]
        if span.startswith("make "):
            assert set(words) <= targets, span
            continue
        command, known = root, {"--help"}
        for word in words:
            known |= {name for parameter in command.params for name in parameter.opts}
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
            elif word.startswith("-"):
                assert word in known, span
            elif hasattr(command, "commands"):
                assert word.isupper(), span


@pytest.fixture(scope="session")
def furnished(tmp_path_factory) -> Path:
    """A folder with the files that the READMEs' commands name."""
    folder = tmp_path_factory.mktemp("readme") / "furnished"
    folder.mkdir()
    furnish(folder)
    call("eci encoders export all-MiniLM-L6-v2 --to small-encoder", folder, 0)
    return folder


@pytest.fixture(scope="session")
def folder_of(furnished) -> Callable[[Readme], Path]:
    """Return a README's folder: the files that commands name, and but for README.md, which makes it, the demo."""

    def of(readme: Readme) -> Path:
        folder = furnished.parent / readme.name.replace("/", "-")
        if not folder.exists():
            shutil.copytree(furnished, folder, symlinks=True)
            if readme is not README:
                shutil.copytree(demo(of(README)), folder / "demo-out")
        return folder

    return of


def demo(folder: Path) -> Path:
    """Return demo-out of README.md's folder, as its step `make demo` leaves it; made here if that was not run."""
    if not (folder / "demo-out" / "LATEST").exists():
        call(shortened("eci demo --out demo-out", folder, ""), folder, 0)
    return folder / "demo-out"


def share_vectors(folder: Path, text: str) -> None:
    """Give the roots that a step writes to the demo's vectors: a text is embedded once."""
    cache = folder / "demo-out" / "cache"
    for root in ("NIGHT", *re.findall(r"--out ([\w-]+)", text), *re.findall(r'out="(\w+)"', text)):
        if cache.exists() and not (folder / root / "cache").exists():
            shutil.copytree(cache, folder / root / "cache")


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a running Dask scheduler with one worker."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="4GB", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def recipe(target: str, folder: Path) -> str:
    """Return the last line of a target's recipe, with the programs of the environment that the tests run in."""
    venv = folder / ".venv"
    venv.mkdir(exist_ok=True)
    (venv / "ready").touch()
    make = ["make", "--dry-run", "--no-print-directory", "--directory", str(ROOT), f"VENV={venv}", target]
    known = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    shown = subprocess.run(make, env=known, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    return shown[-1].replace(f"{venv}/bin/", f"{Path(sys.executable).parent}/")


def runnable(line: str, folder: Path, scheduler: str) -> tuple[str, Path]:
    """Return the command line to run, and where."""
    words = shlex.split(line)
    if words[0] == "make":
        line = recipe(words[1], folder)
    # the tests within the tests are found, and those that take no time are run
    if "-m pytest" in line:
        return f"{line} --collect-only -qq && {line} tests/unit/test_splits.py", ROOT
    return shortened(line, folder, scheduler), folder


def call(line: str, where: Path, code: int) -> str:
    """Run a shell line, and return what it and its log say; its exit code has to be `code`."""
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    known = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    found = subprocess.run(line, shell=True, cwd=where, env=known, capture_output=True, text=True, timeout=900)
    log = where / "eci.log"
    said = f"{line}\n{found.stdout}\n{found.stderr}\n{log.read_text() if log.exists() else ''}"
    assert found.returncode == code, said
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("readme", "step"),
    [pytest.param(r, s, id=f"{r.name}: {re.sub(r'[^a-zA-Z0-9_]+', ' ', s.text)[:60].strip()}") for r, s in STEPS],
)
def test_a_step_runs(folder_of, scheduler, readme, step):
    if readme.name == "jobs/lakes/README.md" and not (find_spec("deltalake") and find_spec("openlineage")):
        pytest.skip("the extras eci-lake[lake] and eci-lake[lineage] are not installed here")
    folder = folder_of(readme)
    share_vectors(folder, step.text)
    where = folder
    if step.kind == "python":
        for name in re.findall(r"^(?:from|import) (\w+)", step.text, re.MULTILINE):
            if find_spec(name) is None:
                pytest.skip(f"{name} is not installed here")
        (folder / "block.py").write_text(shortened(step.text, folder, scheduler), encoding="utf-8")
        line = "python block.py"
    else:
        line, where = runnable(step.text, folder, scheduler)
    assert "Traceback" not in call(line, where, step.code)
