"""What another precision of an encoder changes in retrieval: nDCG@10 of both on a collection with judgements.

Covers: exact search over all documents, for the queries that have judgements, and the interval of the difference.
Does not cover: what fine-tuning makes of either (validate.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jobs.config import make_config
from jobs.encoders.tools import card_named
from jobs.ids import Side
from jobs.output.leftovers import scratch
from jobs.pipeline.embed_texts import embed_texts
from jobs.retrieval.bootstrap import Estimate, draw_means
from jobs.retrieval.collection import read_collection
from jobs.retrieval.metrics import CUTOFF, Floats, gains_of, ndcg
from jobs.retrieval.rankings import dense_rank
from jobs.terminal.progress import Silent


@dataclass(frozen=True)
class Retrieval:
    """nDCG@10 of two encoders on the same queries.

    Attributes:
        queries, documents: how many there are; a query counts if it has a judgement above 0.
        ndcg, reference_ndcg: means over the queries.
        change: the encoder's mean less the reference's; change_lo, change_hi: its 95 % interval, by paired bootstrap.
        queries_changed: share of the queries whose nDCG@10 is another.
    """

    queries: int
    documents: int
    ndcg: float
    reference_ndcg: float
    change: float
    change_lo: float
    change_hi: float
    queries_changed: float


def compare_retrieval(
    encoder: str, reference: str, collection: str, workers: int, report: Callable[[str], None]
) -> Retrieval:
    """Search a collection with both encoders, their vectors as a run caches them, in temporary output roots.

    Args:
        encoder, reference: names or folders.
        collection: a folder in BEIR's layout.
        workers: processes, 0 for one a core.
        report: is told, in a line, of each step that takes long.

    Raises:
        InputError: the collection or an encoder cannot be used.  EciError: a task failed.
    """
    scores = []
    for name in (reference, encoder):
        report(f"searching {collection} with {name}")
        found, documents = _ndcg(name, collection, workers)
        scores.append(found)
    theirs, ours = scores
    means = draw_means(np.stack([ours, theirs])[:, None, :])
    change = Estimate.of(float((ours - theirs).mean()), means[:, 0] - means[:, 1])
    return Retrieval(len(ours), documents, float(ours.mean()), float(theirs.mean()), change.value, change.lo, change.hi,
                     float((ours != theirs).mean()))  # fmt: skip


def _ndcg(encoder: str, path: str, workers: int) -> tuple[Floats, int]:
    """Return nDCG@10 of each judged query, (Q,), and the number of documents."""
    collection = read_collection(path, card_named(encoder).title_separator)
    judged = [number for number, grades in enumerate(collection.relevant) if grades]
    relevant = [collection.relevant[number] for number in judged]
    texts: list[tuple[Side, str]] = [("query", collection.queries.texts[number]) for number in judged]
    texts += [("passage", text) for text in collection.documents.texts]
    with scratch() as out:
        # Nothing is read from the input: only the given texts are embedded.
        values = {"inputs": [{"triples": f"{out}/none"}], "out": out, "encoder": encoder, "workers": workers}
        vectors = embed_texts(make_config(values), texts, Silent())
    ranking, _ = dense_rank(vectors[: len(judged)], vectors[len(judged) :], CUTOFF)
    return ndcg(gains_of(ranking, relevant), relevant), len(collection.documents.texts)
