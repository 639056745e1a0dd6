"""The ranking: its chart, a table of seven columns, and one of all that is known of a source besides."""

from __future__ import annotations

from jobs.output.records import ProbeRow, SourceRow
from jobs.probing.answer import points
from jobs.probing.fitness import few, unfit
from jobs.reports.cells import gain_cell, ranks
from jobs.reports.data import ReportData, by_eci, digits_of
from jobs.reports.html_parts import Cell, count, folded, name, num, section, share, table
from jobs.reports.marks import Chart, Figures, drawn, listing, made_of, state_of
from jobs.reports.ranked import Standing, ranked
from jobs.reports.small import ends, whisker
from jobs.terminal.console import TOO_FEW

FIRST = (
    ("rank", "of the probe where there is one, else by ECI; in brackets: the ranks that are not excluded"),
    ("source", ""),
    ("probe gain", "points of nDCG that held-out queries gain, with its 95 % interval; none: not tried out"),
    ("ECI", "information times purity, nats per dimension, with its 95 % interval"),
    ("purity", "information / (information + misinformation)"),
    ("violations", "share of triples with s_neg >= s_pos"),
    ("triples", ""),
)
MORE = (
    ("source", ""),
    ("rank by ECI", ""),
    ("gain, low", "lower end of the 95 % interval"),
    ("gain, high", "upper end of the 95 % interval"),
    ("ECI, low", "lower end of the 95 % interval"),
    ("ECI, high", "upper end of the 95 % interval"),
    ("information", "log-determinant of the trusted matrix"),
    ("misinformation", "the same of the distrusted matrix"),
    ("hardness", "mean s_neg"),
)
BESIDES = (
    ("source", ""),
    ("margin", "mean of s_pos - s_neg"),
    ("near duplicates", "negatives with similarity to the positive over 0.95"),
    ("near positives", "negatives that are their positive but for case and white space"),
    ("overlap", "mean idf-weighted share of the query's words in the negative"),
    ("effective rank", "directions that the source pushes the encoder in: exp of the entropy of the spectrum"),
    ("queries", ""),
    ("negatives", "distinct"),
    ("rejected", ""),
    ("first-version score", "baseline: log(1+N) times a harmonic mean"),
)


def ranking(data: ReportData) -> Chart | None:
    """ECI with 95 % intervals, the best first, and beside it the differences to it."""
    rows = by_eci(data)
    if not rows:
        return None
    best, digits, apart = rows[0], digits_of(data.ranking), unfit(data.ranking)
    pairs = {p["b"]: p for p in data.pairs if p["a"] == best["source"] and not {p["a"], p["b"]} & apart}

    def standing(row: SourceRow) -> Standing:
        pair = pairs.get(row["source"])
        none = few(row)
        return Standing(
            row["source"], row["eci"], None if none else row["eci_lo"], None if none else row["eci_hi"],
            state_of(row["rank"], row["rank_lo"]), row["eci"] - best["eci"],
            -pair["hi"] if pair else None, -pair["lo"] if pair else None,
        )  # fmt: skip

    standings = [standing(row) for row in rows]
    return made_of(
        "ranking",
        lambda room: ranked(standings, room, "ECI, nats per dimension", digits + 1, False),
        f"Ranking of {len(rows)} sources and hybrids by ECI with 95 % intervals, best first: "
        f"{listing([f'{row.source} {row.value:.{digits}f}' for row in standings])}. The table below has all numbers.",
    )


def ranking_section(data: ReportData, figures: Figures) -> str:
    """Return the section."""
    probed = {row["source"]: row for row in data.probe.rows} if data.probe else {}
    digits = digits_of(data.ranking) + 1
    rows, kept = _first(data, probed, digits), data.probe is not None
    columns = [i for i, (title, _) in enumerate(FIRST) if kept or title != "probe gain"]
    lead = (
        "Best source on top. Intervals that overlap can belong to a decided pair: sources share queries, "
        "so their difference is surer than either."
    )
    if probed:
        lead += " The chart is by ECI; the table has the ranks of gain and information together."
    return section(
        "ranking",
        "Ranking by ECI and probe" if probed else "Ranking by ECI",
        lead,
        drawn(
            figures,
            "ranking",
            "Left: ECI from 0. Right: what it is less than the leader's, on its own scale; an arrow: further out.",
        ),
        table(
            "Ranking of the sources",
            [FIRST[i] for i in columns],
            [[row[i] for i in columns] for row in rows],
            head=1,
            tools=True,
        ),
        folded(
            "More columns",
            table("More of the sources", MORE, [_more(row, probed.get(row["source"]), digits) for row in data.ranking]),
            table("Texts and counts of the sources", BESIDES, [_besides(row) for row in data.ranking]),
        ),
    )


def _first(data: ReportData, probed: dict[str, ProbeRow], digits: int) -> list[list[Cell]]:
    of_eci = ends(
        [v for row in data.ranking for v in (row["eci"], *(() if few(row) else (row["eci_lo"], row["eci_hi"])))]
    )
    of_gain = ends([v for row in probed.values() for v in (row["gain_low"], row["gain_high"])])
    return [
        [
            _rank(row, probed),
            name(title_of(row), strong=row is data.ranking[0]),
            _gain(probed.get(row["source"]), of_gain),
            _eci(row, digits, of_eci),
            num(row["purity"]),
            share(row["violation_rate"]),
            count(row["n_examples"]),
        ]
        for row in data.ranking
    ]


def title_of(row: SourceRow) -> str:
    """Return a row's name, with its kind where that is not in it."""
    return (
        row["source"] if row["kind"] == "source" or row["kind"] in row["source"] else f"{row['source']} ({row['kind']})"
    )


def _rank(row: SourceRow, probed: dict[str, ProbeRow]) -> Cell:
    """Return the rank by the probe where the source was tried out, else by ECI where nothing was."""
    tried = probed.get(row["source"])
    if tried:
        return ranks(tried["rank"], tried["rank_low"], tried["rank_high"])
    if probed or row["rank"] is None:
        return Cell("–", 1e9)
    return ranks(row["rank"], row["rank_lo"], row["rank_hi"])


def _gain(tried: ProbeRow | None, domain: tuple[float, float]) -> Cell:
    if tried is None:
        return num(None)
    drawing = whisker(tried["gain"], tried["gain_low"], tried["gain_high"], domain)
    return Cell("", 100 * tried["gain"], html=f"{points(tried['gain'])} {drawing}")


def _eci(row: SourceRow, digits: int, domain: tuple[float, float]) -> Cell:
    too_few = few(row)
    drawing = whisker(row["eci"], None if too_few else row["eci_lo"], None if too_few else row["eci_hi"], domain)
    return Cell("", row["eci"], html=f"{row['eci']:.{digits}f} {drawing}")


def _more(row: SourceRow, tried: ProbeRow | None, digits: int) -> list[Cell]:
    gained = (tried["gain_low"], tried["gain_high"]) if tried else (None, None)
    low, high = num(row["eci_lo"], digits), num(row["eci_hi"], digits)
    if few(row):
        low, high = Cell(TOO_FEW, low.sort), Cell(TOO_FEW, high.sort)
    return [
        name(title_of(row)),
        Cell("–", 1e9) if row["rank"] is None else ranks(row["rank"], row["rank_lo"], row["rank_hi"]),
        *map(gain_cell, gained),
        low,
        high,
        num(row["information"], digits),
        num(row["misinformation"], digits),
        num(row["hardness"]),
    ]


def _besides(row: SourceRow) -> list[Cell]:
    return [
        name(title_of(row)),
        num(row["margin"]),
        share(row["near_duplicate_rate"]),
        count(row.get("n_near_positive")),
        num(row["lexical_overlap"]),
        num(row["effective_rank"], 0),
        count(row["n_queries"]),
        count(row["n_negatives"]),
        count(row["n_rejected"]),
        num(row["eci_v1"]),
    ]
