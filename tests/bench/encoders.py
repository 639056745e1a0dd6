"""Throughput of encoders as ratios in one run: python -m tests.bench.encoders DIR [DIR ..] [--torch MODEL_DIR] [--texts FILE].

Every contestant runs the same texts on one thread, in turn, several rounds; the median of its processor seconds counts,
so that other load on the machine matters little. The first DIR is the reference of `speed` and `cosine`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray

from jobs.encoder_tools import encoder_named, read_sample
from onnx_models.batching import TOKEN_BUDGET, token_batches
from onnx_models.session import Encoder

Vectors = NDArray[np.float32]
Contest = dict[str, Callable[[], Vectors | None]]
FASTEMBED_BATCH = 256


def default_texts() -> list[str]:
    import importlib
    import inspect

    names = (
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
    found = []
    for name in names:
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


def torch_loop(folder: str, texts: list[str]) -> Callable[[], Vectors]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(folder, device="cpu")
    return lambda: np.asarray(model.encode(texts, normalize_embeddings=True, batch_size=32))


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
    import onnx

    model = onnx.load(str(encoder.card.model.path()))
    shapes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    made = [node for node in model.graph.node if node.op_type in ("MatMul", "MatMulIntegerToFloat")]
    return sum(int(np.prod(shapes[node.input[1]])) for node in made if len(shapes.get(node.input[1], ())) == 2)


def rounds(contest: Contest, repeats: int) -> dict[str, tuple[float, Vectors | None]]:
    seconds: dict[str, list[float]] = {name: [] for name in contest}
    results: dict[str, Vectors | None] = {}
    for number in range(repeats + 1):
        for name, run in contest.items():
            started = time.process_time()
            results[name] = run()
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - started)
    return {name: (median(times), results[name]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", nargs="*", default=["minilm-l6-v2-int8"])
    parser.add_argument("--torch", help="the first encoder's Hugging Face folder, for sentence-transformers")
    parser.add_argument("--texts", help="a file of texts (default: docstrings of the standard library)")
    parser.add_argument("--most", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    texts = read_sample(given.texts, given.most) if given.texts else default_texts()[: given.most]
    opened = {name: encoder_named(name) for name in given.encoders}
    contest: Contest = {name: (lambda e=encoder: e.encode(texts, "passage")) for name, encoder in opened.items()}  # type: ignore[misc]
    contest |= {f"{name}, bare session.run": bare_loop(encoder, texts) for name, encoder in opened.items()}  # type: ignore[dict-item]
    first = given.encoders[0]
    contest[f"{first}, fastembed's loop"] = fastembed_loop(opened[first], texts)  # type: ignore[assignment]
    if given.torch:
        contest["sentence-transformers, torch float32"] = torch_loop(given.torch, texts)
    found = rounds(contest, given.repeats)
    reference, base = found[first][1], found[first][0]
    assert reference is not None
    for name, (seconds, vectors) in found.items():
        line = f"{name:52} {len(texts) / seconds:8.1f} texts a core-second, speed {base / seconds:5.2f}"
        if vectors is not None:
            line += f", cosine {float(np.einsum('ij,ij->i', vectors, reference).mean()):.5f}"
        sys.stdout.write(line + "\n")
    tokens = opened[first].tokens_seen
    peak = gemm_peak()
    share = linear_size(opened[first]) * tokens.real / (given.repeats + 1) / base / peak
    sys.stdout.write(f"padded over real tokens {tokens.padded / tokens.real:.4f}; {share:.0%} of the float32 GEMM peak "
                     f"({2 * peak / 1e9:.0f} GFLOP/s a core)\n")  # fmt: skip
    for name in opened:
        ratio = found[f"{name}, bare session.run"][0] / found[name][0]
        sys.stdout.write(f"{name}: embedding at {ratio:.3f} of a bare session.run loop\n")


if __name__ == "__main__":
    main()
