"""The report's sections: what each says, and in which words."""

from __future__ import annotations

from typing import Any

from jobs.output.records import SourceRow
from jobs.probing.fitness import few, why_open
from jobs.reports.ablations import ablation_section
from jobs.reports.charts import best_mixture
from jobs.reports.data import EXAMPLES, ReportData, by_eci, digits_of
from jobs.reports.html_parts import Cell, count, esc, folded, num, section, share, span, table, text
from jobs.reports.judging import judge_section
from jobs.reports.marks import Figures, drawn
from jobs.reports.probe import gain_cell, probe_section
from jobs.reports.sample import sample_section
from jobs.reports.verdict import answer_section
from jobs.terminal.console import TOO_FEW


def sections(data: ReportData, figures: Figures) -> str:
    """Return all sections that the data has something for, in order."""
    parts = [
        answer_section(data), probe_section(data, figures), _ranking(data, figures), sample_section(data),
        _plane(figures), _pairs(data, figures), _distributions(figures), _spectrum(figures), _mixture(data, figures),
        ablation_section(data, figures), judge_section(data), _examples(data), _rejects(data, figures), _history(data, figures),
        _settings(data),
    ]  # fmt: skip
    return "".join(parts)


RANKING = (
    ("rank", "in brackets: the ranks that the intervals do not exclude"),
    ("source", ""),
    ("ECI", "information times purity"),
    ("95 % interval", ""),
    ("information", "log-determinant of the trusted matrix"),
    ("misinformation", "the same of the distrusted matrix"),
    ("purity", "information / (information + misinformation)"),
    ("violations", "share of triples with s_neg >= s_pos"),
    ("hardness", "mean s_neg"),
    ("margin", "mean of s_pos - s_neg"),
    ("near duplicates", "negatives with similarity to the positive over 0.95"),
    ("near positives", "negatives that are their positive but for case and white space"),
    ("overlap", "mean idf-weighted share of the query's words in the negative"),
    ("effective rank", "exp of the entropy of the spectrum"),
    ("triples", ""),
    ("queries", ""),
    ("negatives", "distinct"),
    ("rejected", ""),
    ("first-version score", "baseline: log(1+N) times a harmonic mean"),
)


GAIN = ("gain", "points of nDCG that held-out queries gain; none: not tried out")


def _ranking(data: ReportData, figures: Figures) -> str:
    probed = {row["source"]: row for row in data.probe.rows} if data.probe else {}
    digits = digits_of(data.ranking) + 1
    heads = [*RANKING[:1], *([GAIN] if probed else []), *RANKING[1:]]
    rows = []
    for row in data.ranking:
        rank, *others = _ranking_row(row, digits)
        gain = probed[row["source"]]["gain"] if row["source"] in probed else None
        rows.append([rank, *([gain_cell(gain)] if probed else []), *others])
    lead = (
        "Best source on top. Intervals that overlap can belong to a decided pair: sources share queries, "
        "so their difference is surer than either."
    )
    if probed:
        lead += " The chart and the ranks are by ECI; the table has the order of the probe."
    title = "Ranking by ECI and probe" if probed else "Ranking by ECI"
    return section("ranking", title, lead, drawn(figures, "ranking"), table("Ranking of the sources", heads, rows))


def _ranking_row(row: SourceRow, digits: int) -> list[Cell]:
    rank = "–" if row["rank"] is None else str(row["rank"])
    if row["rank"] is not None and row["rank_lo"] != row["rank_hi"]:
        rank += f" ({row['rank_lo']}–{row['rank_hi']})"
    name = (
        row["source"] if row["kind"] == "source" or row["kind"] in row["source"] else f"{row['source']} ({row['kind']})"
    )
    return [
        Cell(rank, float(row["rank"] or 1e9)),
        text(name, strong=row["rank"] == 1),
        num(row["eci"], digits),
        _interval(row, digits),
        num(row["information"], digits),
        num(row["misinformation"], digits),
        num(row["purity"]),
        share(row["violation_rate"]),
        num(row["hardness"]),
        num(row["margin"]),
        share(row["near_duplicate_rate"]),
        count(row.get("n_near_positive")),
        num(row["lexical_overlap"]),
        num(row["effective_rank"], 0),
        count(row["n_examples"]),
        count(row["n_queries"]),
        count(row["n_negatives"]),
        count(row["n_rejected"]),
        num(row["eci_v1"]),
    ]


def _interval(row: SourceRow, digits: int) -> Cell:
    cell = span(row["eci_lo"], row["eci_hi"], digits)
    return Cell(TOO_FEW, cell.sort) if few(row) else cell


def _plane(figures: Figures) -> str:
    if "plane" not in figures:
        return ""
    lead = (
        "Far right and low is best: much to learn, little of it wrong. A source above a dashed ray has less than that "
        "purity, and its ECI is its information times its purity."
    )
    return section("plane", "Information against misinformation", lead, drawn(figures, "plane"))


def _pairs(data: ReportData, figures: Figures) -> str:
    if "heat" not in figures:
        return ""
    order = {row["source"]: i for i, row in enumerate(by_eci(data))}
    digits = digits_of(data.ranking) + 1
    rows = [
        [
            text(p["a"]),
            text(p["b"]),
            num(p["difference"], digits),
            num(p["se"], digits),
            num(p["lo"], digits),
            num(p["hi"], digits),
            Cell(f"{p['p_value']:.2g}", p["p_value"]) if p["p_value"] == p["p_value"] else num(None),
            text(why_open(data.ranking, p["a"], p["b"]) or ("decided" if p["decided"] else "not decided")),
        ]
        for p in data.pairs
        if order[p["a"]] < order[p["b"]]
    ]
    open_ = sum(row[-1].text != "decided" for row in rows)
    lead = f"Of {len(rows)} pairs, {open_} are not decided at 95 %, of too few queries, or not comparable. Stronger colour: a larger difference in ECI."
    heads = [(name, "") for name in ("ahead", "behind", "difference", "standard error", "low", "high", "p", "verdict")]
    return section(
        "pairs",
        "Pairs of sources",
        lead,
        drawn(figures, "heat"),
        folded("All pairs as a table", table("Pairs of sources", heads, rows)),
    )


def _distributions(figures: Figures) -> str:
    if "margins" not in figures:
        return ""
    lead = (
        "Where the encoder puts the negatives. A negative that scores above its positive (margin below 0) is probably "
        "a positive that nobody labelled; just right of 0, near the dashed line, is where a negative teaches most."
    )
    return section(
        "distributions",
        "Distributions",
        lead,
        "<h3>Margin, with the false-negative zone</h3>",
        drawn(figures, "margins"),
        "<h3>Similarity to the query</h3>",
        drawn(figures, "similarities"),
    )


def _spectrum(figures: Figures) -> str:
    if "spectra" not in figures:
        return ""
    lead = (
        "How many directions a source pushes the encoder in. A steep curve is a source that repeats one lesson; "
        "the effective rank (dashed) counts the directions that matter."
    )
    return section("spectrum", "Spectrum of the trusted matrix", lead, drawn(figures, "spectra"))


def _mixture(data: ReportData, figures: Figures) -> str:
    best = best_mixture(data)
    if best is None:
        return ""
    single = max((row["eci"] for row in data.ranking if row["kind"] == "source"), default=0.0)
    digits = digits_of(data.ranking) + 1
    more = f"{best['eci'] - single:.{digits}f} more than the best single source"
    gain = more if single > 0 else "no single source has any"
    if single > 0 and best["eci"] < single * 1.0005:
        gain = "no more than the best single source alone"
    interval = f"95 % interval {span(best['eci_lo'], best['eci_hi'], digits).text}"
    lead = f"The best mixture has ECI {best['eci']:.{digits}f} ({interval}): {gain}."
    return section("mixture", "Best mixture", lead, drawn(figures, "mixture"))


def _examples(data: ReportData) -> str:
    if not data.examples:
        return ""
    lead = (
        f"The {EXAMPLES} triples of each source with the largest and the {EXAMPLES} with the smallest weight. Below 0, "
        "the encoder thinks that the negative answers the query better than the positive: read whether it is right."
    )
    parts = []
    for number, source in enumerate(source for source in data.shown if source in data.examples):
        best, worst = data.examples[source]
        body = "".join(
            f'<div><h3 class="{kind}">{title}</h3>{"".join(_triple(t) for t in triples)}</div>'
            for kind, title, triples in (("good", "Largest weight", best), ("bad", "Smallest weight", worst))
        )
        opened = " open" if number == 0 else ""
        parts.append(f'<details{opened}><summary>{esc(source)}</summary><div class="two">{body}</div></details>')
    return section("examples", "Examples", lead, *parts)


def _triple(triple: dict[str, Any]) -> str:
    roles = "".join(f"<dt>{role}</dt><dd>{esc(triple[role])}</dd>" for role in ("query", "positive", "negative"))
    overlap = "" if triple["lexical_overlap"] is None else f"<span>overlap {triple['lexical_overlap']:.2f}</span>"
    return (
        f'<article class="triple"><p><span>weight <b>{triple["weight"]:+.4f}</b></span>'
        f"<span>s_pos {triple['s_pos']:.3f}</span><span>s_neg {triple['s_neg']:.3f}</span>"
        f"<span>margin {triple['s_pos'] - triple['s_neg']:+.3f}</span>{overlap}</p>"
        f"<dl>{roles}</dl></article>"
    )


def _rejects(data: ReportData, figures: Figures) -> str:
    totals = data.manifest["totals"]
    balance = (
        f"{totals['rows_in']:,} rows in = {totals['scored']:,} scored + {totals['rejected']:,} rejected + "
        f"{totals['duplicates']:,} duplicates"
        + (f" + {totals['not_sampled']:,} of queries not sampled." if totals.get("not_sampled") else ".")
    )
    if not data.rejects:
        return section("rejects", "Rejected rows", f"{balance} Nothing was rejected.")
    rows = [
        [text(r["source"] if r["source"] is not None else "–"), text(r["reason"]), count(r["rows"]), text(r["detail"])]
        for r in data.rejects
    ]
    heads = [("source", ""), ("reason", ""), ("rows", ""), ("for example", "")]
    return section(
        "rejects",
        "Rejected rows",
        balance,
        drawn(figures, "rejects"),
        table("Rejected rows by source and reason", heads, rows),
    )


def _history(data: ReportData, figures: Figures) -> str:
    runs: dict[str, list[SourceRow]] = {}
    for row in data.history:
        runs.setdefault(row["run_id"], []).append(row)
    digits = digits_of(data.ranking) + 1
    sampled_runs = any((row.get("sample_share") or 1) < 1 for row in data.history)
    rows = []
    for run_id, found in reversed(runs.items()):
        best = min(found, key=lambda row: row["rank"] or 10**9)
        rows.append(
            [
                text(run_id, strong=run_id == data.manifest["run_id"]),
                text(f"{best['created_at']:%Y-%m-%d %H:%M}"),
                text(best["source"]),
                num(best["eci"], digits),
                count(sum(row["n_examples"] for row in found if row["kind"] == "source")),
                *([share(best.get("sample_share"))] if sampled_runs else []),
            ]
        )
    lead = f"{len(runs)} run{'s' * (len(runs) != 1)} with the same encoder and settings of the score in this lake."
    if data.other_runs:
        lead += f" {data.other_runs} more cannot be compared with this one and are left out."
    heads = [("run", ""), ("time (UTC)", ""), ("best source", ""), ("its ECI", ""), ("triples", "")]
    heads += [("queries used", "")] if sampled_runs else []
    return section("history", "History", lead, drawn(figures, "history"), table("Runs", heads, rows))


def _settings(data: ReportData) -> str:
    manifest = data.manifest
    settings = [
        [text(key), text(_plain(value))] for key, value in sorted(manifest["settings"].items()) if key != "inputs"
    ]
    settings += [
        [text("formula_version"), text(manifest["formula_version"])],
        [text("encoder_fingerprint"), text(manifest["encoder"]["fingerprint"])],
    ]
    inputs = [[text(file["path"]), text(file["what"]), count(file["size"])] for file in manifest["inputs"][:200]]
    versions = [[text(name), text(version)] for name, version in sorted(manifest["versions"].items())]
    stages = [
        [text(name), count(s["tasks"]), num(s["seconds"], 1), count(s["peak_bytes"] >> 20)]
        for name, s in manifest["stages"].items()
    ]
    more = len(manifest["inputs"]) - 200
    return section(
        "settings",
        "Settings and versions",
        "What the run depended on.",
        table("Settings", [("setting", ""), ("value", "")], settings, sortable=False),
        folded(
            f"Inputs ({len(manifest['inputs'])} files)",
            table(
                "Inputs" + (f", {more} more not shown" * (more > 0)),
                [("file", ""), ("what", ""), ("bytes", "")],
                inputs,
            ),
        ),
        folded("Versions", table("Versions", [("package", ""), ("version", "")], versions, sortable=False)),
        folded(
            "Stages",
            table(
                "Stages",
                [("stage", ""), ("tasks", ""), ("seconds of all tasks", ""), ("peak MiB of a process", "")],
                stages,
            ),
        ),
    )


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "default" if value in ("", None) else str(value)
