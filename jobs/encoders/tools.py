"""What `eci encoders` does beyond one encoder folder: which are usable here, and how two compare on the user's texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.errors import EciError, InputError
from jobs.output.leftovers import scratch
from jobs.retrieval.metrics import kendall_tau
from onnx_models.cards import built_in_names, family_names, load_card
from onnx_models.errors import EncoderError
from onnx_models.families import families, load_family

if TYPE_CHECKING:
    from onnx_models.cards import EncoderCard
    from onnx_models.running.session import Encoder

MOST_TEXTS = 2000
TEXT_KEYS = ("text", "passage", "document", "contents", "query", "positive")


def card_named(name_or_dir: str) -> EncoderCard:
    """Return an encoder's card. Raises InputError for an unknown name or a wrong card."""
    try:
        return load_card(name_or_dir)
    except EncoderError as error:
        raise InputError(str(error)) from None


def encoder_named(name_or_dir: str, threads: int = 1) -> Encoder:
    """Open an encoder, its files and golden vectors checked. Raises InputError when it cannot be used."""
    from onnx_models.running.session import open_encoder

    try:
        return open_encoder(card_named(name_or_dir), threads)
    except EncoderError as error:
        raise InputError(str(error)) from None


def list_encoders(folders: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return name, folder or empty, state, and the card's main values of every encoder.

    Built-in ones come first, then ready cards without weights, then the encoders in or directly below `folders`.
    """
    rows = [_row(name, name) for name in built_in_names()]
    for family in families():
        state = "needs files: eci encoders export FOLDER --to DIR"
        rows.append({"name": family.name, "encoder": "", "state": state, "dim": family.dim, "max_tokens": family.max_tokens,
                     "precision": "", "batch_invariant": None, "temperature": family.temperature,
                     "licence": family.licence})  # fmt: skip
    for folder in folders:
        base = Path(folder)
        if not base.is_dir():
            raise InputError(f"{folder} is not a folder: give a folder of encoders, or an encoder's own")
        rows += [
            _row(str(card.parent), str(card.parent))
            for card in sorted([*base.glob("card.toml"), *base.glob("*/card.toml")])
        ]
    return rows


def _row(name: str, encoder: str) -> dict[str, Any]:
    try:
        card = load_card(encoder)
        card.verify_files()
    except EncoderError as error:
        return {"name": name, "encoder": encoder, "state": f"not usable: {error}", "dim": None, "max_tokens": None,
                "precision": "", "batch_invariant": None, "temperature": None, "licence": ""}  # fmt: skip
    state = "usable, approximate" if card.approximate else "usable"
    return {"name": card.name, "encoder": encoder, "state": state, "dim": card.dim, "max_tokens": card.max_tokens,
            "precision": card.precision, "batch_invariant": card.batch_invariant, "temperature": card.temperature,
            "licence": card.licence}  # fmt: skip


def card_values(card: EncoderCard) -> dict[str, Any]:
    """Return a card for people and JSON: its values, its fingerprint, its files as paths."""
    values = asdict(card)
    del values["folder"]
    for key in ("model", "tokenizer"):
        values[key] = {"file": getattr(card, key).location, "sha256": getattr(card, key).sha256}
    values["data"] = [{"file": file.location, "sha256": file.sha256} for file in card.data]
    return {"fingerprint": card.fingerprint} | values


def shown(name_or_dir: str) -> dict[str, Any]:
    """Return what there is to show of an encoder: its card, or a ready card that ships no weights."""
    if name_or_dir in family_names():
        state = f"needs files: eci encoders export FOLDER --to DIR, with the folder of {name_or_dir} from Hugging Face"
        return asdict(load_family(name_or_dir)) | {"state": state}
    return card_values(card_named(name_or_dir))


def read_sample(path: str, most: int = MOST_TEXTS) -> list[str]:
    """Return up to `most` distinct texts of a file, spread over it: lines, JSONL, CSV or Parquet with a text column.

    Raises:
        InputError: the file cannot be read or holds no text.
    """
    from jobs.formats.opening import extension_of

    kind = extension_of(path)
    try:
        texts = _column(path, kind) if kind in ("parquet", "jsonl", "json", "ndjson", "csv", "tsv") else _lines(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as texts: {error}") from error
    distinct = list(dict.fromkeys(text for text in texts if text and text.strip()))
    if not distinct:
        raise InputError(f"{path}: no text in it; give one text a line, or a column named {', '.join(TEXT_KEYS)}")
    at = np.unique(np.linspace(0, len(distinct) - 1, min(most, len(distinct))).astype(int))
    return [distinct[i] for i in at.tolist()]


def _lines(path: str) -> list[str]:
    import fsspec

    with fsspec.open(path, "rt", encoding="utf-8", compression="infer") as stream:
        return [line.strip() for line in stream]


def _column(path: str, kind: str) -> list[str]:
    import polars as pl

    try:
        if kind == "parquet":
            frame = pl.read_parquet(path)
        elif kind in ("csv", "tsv"):
            frame = pl.read_csv(path, separator="\t" if kind == "tsv" else ",", infer_schema=False)
        else:
            frame = pl.read_ndjson(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    name = next((key for key in TEXT_KEYS if key in frame.columns and frame[key].dtype == pl.String), None)
    if name is None:
        raise ValueError(f"no text column among {', '.join(frame.columns)}; one of {', '.join(TEXT_KEYS)} is needed")
    return [str(text) for text in frame[name].drop_nulls().to_list()]


def verify_encoder(name_or_dir: str, texts: Sequence[str], reference: str | None) -> dict[str, Any]:
    """Measure an encoder on texts, and its likeness to a reference where one is given.

    Raises:
        InputError: an encoder cannot be used (its files, its golden vectors), or the two have different dimensions.
    """
    from onnx_models.running.fidelity import likeness, measure

    found: dict[str, Any] = {"encoder": name_or_dir, "golden": "pass"}
    try:
        vectors, measured = measure(encoder_named(name_or_dir), texts)
        found |= _measures(measured)
        if reference is not None:
            theirs, other = measure(encoder_named(reference), texts)
            found |= {"reference": reference} | asdict(likeness(vectors, theirs))
            found["speed_over_reference"] = other.seconds / measured.seconds
    except EncoderError as error:
        raise InputError(str(error)) from None
    return found


def _measures(measured: Any) -> dict[str, Any]:
    return asdict(measured) | {
        "texts_per_second": measured.texts_per_second,
        "tokens_per_second": measured.tokens_per_second,
    }


def compare_rankings(
    name_or_dir: str, reference: str, triples: Sequence[str], workers: int, report: Callable[[str], None]
) -> dict[str, Any]:
    """Rank the sources of the same triples with both encoders, in temporary output roots, and compare.

    Returns:
        kendall_tau of the two rankings (None where it is not defined), largest_change of ECI over the reference's ECI, and
        the rows: source, eci, reference_eci, rank, reference_rank.

    Raises:
        InputError: the triples or an encoder cannot be used.
    """
    rankings = []
    for encoder in (reference, name_or_dir):
        report(f"ranking with {encoder}")
        with scratch() as out:
            rankings.append(_ranked(encoder, triples, out, workers, report))
    theirs, ours = rankings
    if set(ours) != set(theirs):
        raise EciError("the two encoders scored different sources; this is a bug in eci-lake")
    names = sorted(theirs, key=lambda source: theirs[source][1])
    pairs = [(ours[source][0], theirs[source][0]) for source in names]
    changes = [abs(eci - reference_eci) / reference_eci for eci, reference_eci in pairs if reference_eci > 0]
    tau = kendall_tau([a for a, _ in pairs], [b for _, b in pairs])
    rows = [{"source": source, "eci": ours[source][0], "reference_eci": theirs[source][0], "rank": ours[source][1],
             "reference_rank": theirs[source][1]} for source in names]  # fmt: skip
    return {"kendall_tau": tau, "largest_change": max(changes, default=0.0), "rows": rows}


def _ranked(
    encoder: str, triples: Sequence[str], out: str, workers: int, report: Callable[[str], None]
) -> dict[str, tuple[float, int]]:
    from jobs.config import make_config
    from jobs.finished.text import loss_line
    from jobs.formats.source_names import by_name
    from jobs.pipeline.run import run

    inputs = [{"triples": paths, "source": name} for name, paths in by_name(triples).items()]
    config = make_config({"inputs": inputs, "out": out, "encoder": encoder, "workers": workers, "allow_rejects": True})
    result = run(config)
    for loss in result.losses:
        report(loss_line(loss))
    rows = result.ranking.select(["kind", "source", "eci", "rank"]).to_pylist()
    return {row["source"]: (row["eci"], row["rank"]) for row in rows if row["kind"] == "source"}
