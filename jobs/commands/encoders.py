"""`eci encoders`: which encoders there are, taking in the user's own, making them smaller and faster, checking them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.commands.options import Json, Quiet, filled_here
from jobs.commands.showing import echo_json, say
from jobs.errors import InputError

if TYPE_CHECKING:
    from onnx_models.exporting.new_card import Made, Overrides

topic = typer.Typer(
    help="Encoders: list, show, add, export, quantize, verify.", no_args_is_help=True, rich_markup_mode=None
)

Which = Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="An encoder's name, or the folder of its card.")]
Source = Annotated[str, typer.Argument(metavar="MODEL_DIR", help="A model's folder.")]
Texts = Annotated[
    str, typer.Option(help="A file of your texts: one a line, or JSONL, CSV or Parquet with a text column.")
]
Name = Annotated[str | None, typer.Option(help="The new encoder's name.")]
Pooling = Annotated[str | None, typer.Option(help="mean, cls or last, where the folder does not say.")]
QueryPrefix = Annotated[str | None, typer.Option(help="What goes before a query, in place of what the folder says.")]
PassagePrefix = Annotated[
    str | None, typer.Option(help="What goes before a passage, in place of what the folder says.")
]
MaxTokens = Annotated[int | None, typer.Option(min=3, help="Where texts are cut, in tokens.")]
Temperature = Annotated[
    float | None, typer.Option(min=1e-3, max=10, help="The temperature that it is fine-tuned with.")
]
Licence = Annotated[str | None, typer.Option(help="The licence of the weights (SPDX).")]


@topic.command("list")
def list_command(
    folders: Annotated[list[str] | None, typer.Argument(help="Folders with your own encoders.")] = None,
    json: Json = False,
) -> None:
    """List the encoders, and say which are usable here and which need files.

    Example: eci encoders list my-encoders
    """
    from jobs.encoders.tools import list_encoders

    rows = list_encoders(folders or [])
    if json:
        echo_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    say(f"{'encoder':{width}}  {'dim':>4}  {'tokens':>6}  {'temp.':>5}  {'licence':12}  state")
    for row in rows:
        numbers = f"{row['dim'] or '':>4}  {row['max_tokens'] or '':>6}  {row['temperature'] or '':>5}"
        say(f"{row['name']:{width}}  {numbers}  {row['licence']:12}  {row['state']}")


@topic.command()
def show(encoder: Which, json: Json = False) -> None:
    """Print an encoder's card.

    Example: eci encoders show minilm-l6-v2-int8
    """
    from jobs.encoders.tools import shown

    values = shown(encoder)
    if json:
        echo_json(values)
        return
    width = max(len(key) for key in values)
    for key, value in values.items():
        say(f"{key:{width}}  {value}")


@topic.command()
def add(
    folder: Source,
    to: Annotated[str | None, typer.Option(callback=filled_here, help="Where the encoder goes (default: its card is put into the folder).")] = None,
    name: Name = None, pooling: Pooling = None, query_prefix: QueryPrefix = None, passage_prefix: PassagePrefix = None,
    max_tokens: MaxTokens = None, temperature: Temperature = None, licence: Licence = None, json: Json = False,
) -> None:  # fmt: skip
    """Take in a folder with an ONNX file, as Optimum or sentence-transformers export it; says what it understood.

    Example: eci encoders add my-onnx-model --to my-encoders/mine --temperature 0.02
    """
    from onnx_models.adding.add import add_encoder

    given = _overrides(name, pooling, query_prefix, passage_prefix, max_tokens, temperature, licence)
    _report(_making(lambda: add_encoder(Path(folder), Path(to) if to else None, given)), to or folder, json)


@topic.command()
def export(
    folder: Source,
    to: Annotated[str, typer.Option(callback=filled_here, help="The encoder folder to write.")],
    name: Name = None, pooling: Pooling = None, query_prefix: QueryPrefix = None, passage_prefix: PassagePrefix = None,
    max_tokens: MaxTokens = None, temperature: Temperature = None, licence: Licence = None, json: Json = False,
) -> None:  # fmt: skip
    """Export a Hugging Face folder (config.json, safetensors, tokenizer.json) to an encoder, without PyTorch.

    BERT, DistilBERT, RoBERTa, XLM-RoBERTa and MPNet need nothing more; others need `pip install 'eci-lake[export]'`.

    Example: eci encoders export e5-small-v2 --to my-encoders/e5-small-v2
    """
    from onnx_models.exporting.export import export_encoder

    given = _overrides(name, pooling, query_prefix, passage_prefix, max_tokens, temperature, licence)
    _report(_making(lambda: export_encoder(Path(folder), Path(to), given)), to, json)


@topic.command()
def quantize(
    encoder: Which,
    texts: Texts,
    to: Annotated[str, typer.Option(callback=filled_here, help="The encoder folder to write.")],
    method: Annotated[
        str, typer.Option(help="static: faster, calibrated on the texts; weights: a quarter of the file.")
    ] = "static",
    cosine: Annotated[
        float, typer.Option(min=0.9, max=1.0, help="Mean cosine to keep; layers stay in float32 for it.")
    ] = 0.999,
    name: Name = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make an int8 encoder out of a float32 one, and measure what it keeps.

    Example: eci encoders quantize my-encoders/e5-small-v2 --texts passages.txt --to my-encoders/e5-small-v2-int8
    """
    from jobs.encoders.tools import card_named, read_sample
    from onnx_models.quantising.quantize import quantize_encoder

    if method not in ("static", "weights"):
        raise InputError(f"--method is {method!r}, allowed are static and weights")
    card_named(encoder)
    chosen = read_sample(texts)

    def note(line: str) -> None:
        if not quiet:
            say(line, err=True)

    made = _making(lambda: quantize_encoder(encoder, chosen, Path(to), method, cosine, name, note))  # type: ignore[arg-type]
    _report(made, to, json)


@topic.command()
def verify(
    encoder: Which,
    texts: Texts,
    reference: Annotated[str | None, typer.Option(help="The encoder to compare with.")] = None,
    triples: Annotated[list[str] | None, typer.Option(help="Triples whose sources both encoders rank.")] = None,
    collection: Annotated[
        str | None, typer.Option(help="A folder with corpus.jsonl, queries.jsonl and qrels/*.tsv: nDCG@10 of both.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes for these (0: one for each core).")] = 0,
    most: Annotated[int, typer.Option(min=2, help="Most texts to take, spread over the file.")] = 500,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check an encoder on your texts: golden vectors, batch dependence, speed, and what it changes against another one.

    Example: eci encoders verify my-encoders/mine-int8 --texts passages.txt --reference my-encoders/mine
    """
    from dataclasses import asdict

    from jobs.encoders.comparison import compare_retrieval
    from jobs.encoders.tools import compare_rankings, read_sample, verify_encoder

    def note(line: str) -> None:
        if not quiet:
            say(line, err=True)

    if reference is None and (triples or collection):
        raise InputError(f"{'--triples' if triples else '--collection'} compares two encoders: give --reference too")
    found = verify_encoder(encoder, read_sample(texts, most), reference)
    if collection and reference is not None:
        found["retrieval"] = asdict(compare_retrieval(encoder, reference, collection, workers, note))
    if triples and reference is not None:
        found["ranking"] = compare_rankings(encoder, reference, triples, workers, note)
    if json:
        echo_json(found)
        return
    for line in _verdict(found):
        say(line)


def _verdict(found: dict[str, Any]) -> list[str]:
    lines = [
        f"files and golden vectors   {found['golden']}",
        f"speed                      {found['texts_per_second']:.1f} texts, {found['tokens_per_second']:.0f} tokens a core-second",
        f"padding                    {found['padded_over_real']:.3f} tokens run for each real one",
        f"batch dependence           {found['same_alone']:.1%} of {found['texts']} texts have the same bits alone and in a batch "
        f"(largest change {found['largest_change']:.1e})",
    ]  # fmt: skip
    if "reference" in found:
        lines += [
            f"cosine to reference        mean {found['cosine_mean']:.5f}, 1st percentile {found['cosine_p1']:.5f}, lowest "
            f"{found['cosine_min']:.5f}",
            f"ten nearest neighbours     {found['neighbours_kept']:.1%} kept",
            f"speed over reference       {found['speed_over_reference']:.2f}",
        ]  # fmt: skip
    if "retrieval" in found:
        searched = found["retrieval"]
        lines.append(
            f"nDCG@10 of {searched['queries']:,} queries  {searched['ndcg']:.4f}, reference {searched['reference_ndcg']:.4f}: change "
            f"{searched['change']:+.4f}, 95 % interval {searched['change_lo']:+.4f} .. {searched['change_hi']:+.4f}; "
            f"{searched['queries_changed']:.1%} of the queries change"
        )
    if "ranking" in found:
        ranking = found["ranking"]
        tau = "not defined" if ranking["kendall_tau"] is None else f"{ranking['kendall_tau']:.3f}"
        lines.append(
            f"ranking of {len(ranking['rows'])} sources       Kendall tau {tau}, largest change of an ECI {ranking['largest_change']:.2%}"
        )
        lines += [f"  {row['source']:24} {row['eci']:.5f} (rank {row['rank']})   reference {row['reference_eci']:.5f} "
                  f"(rank {row['reference_rank']})" for row in ranking["rows"]]  # fmt: skip
    return lines


def _overrides(
    name: str | None, pooling: str | None, query_prefix: str | None, passage_prefix: str | None, max_tokens: int | None,
    temperature: float | None, licence: str | None,
) -> Overrides:  # fmt: skip
    from onnx_models.exporting.new_card import Overrides

    if pooling not in (None, "mean", "cls", "last"):
        raise InputError(f"--pooling is {pooling!r}, allowed are mean, cls and last")
    return Overrides(name, pooling, query_prefix, passage_prefix, max_tokens, temperature, licence)


def _making(make: Callable[[], Made]) -> Made:
    from onnx_models.errors import EncoderError

    try:
        return make()
    except EncoderError as error:
        raise InputError(str(error)) from None


def _report(made: Made, where: str, json: bool) -> None:
    from jobs.encoders.tools import card_values

    if json:
        echo_json({"encoder": where, "understood": list(made.understood), "card": card_values(made.card)})
        return
    for line in made.understood:
        say(line)
    alone = "equal" if made.card.batch_invariant else "NOT equal: texts will be run one at a time"
    say(f"A text's bits alone and in a batch are {alone}.")
    say(f"{made.card.name}: dim {made.card.dim}, licence {made.card.licence}. Use it with --encoder {where}")


def register(app: typer.Typer) -> None:
    """Add the sub-commands to the application."""
    app.add_typer(topic, name="encoders")
