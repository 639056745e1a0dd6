"""The report's sections in order, and its charts."""

from __future__ import annotations

from jobs.reports.ablations import ablation_section, agreement
from jobs.reports.data import ReportData
from jobs.reports.disagreement import bump, disagreement_section
from jobs.reports.distributions import distributions_section, margins, similarities
from jobs.reports.judging import judge_section
from jobs.reports.marks import Chart, Figures
from jobs.reports.outcomes import (
    history,
    history_section,
    mixture,
    mixture_section,
    rejects,
    rejects_section,
)
from jobs.reports.pairs import pairs_section
from jobs.reports.plane import plane, plane_section
from jobs.reports.probe import probe_charts, probe_section
from jobs.reports.ranking import ranking, ranking_section
from jobs.reports.sample import sample_section
from jobs.reports.settings import settings_section
from jobs.reports.sources import sources_section
from jobs.reports.verdict import answer_section

NAVIGATION = (
    ("answer", "Answer"), ("probe", "Probe"), ("ranking", "Ranking"), ("disagreement", "Disagreement"), ("sample", "Sample"),
    ("plane", "Information"), ("pairs", "Pairs"), ("distributions", "Distributions"), ("mixture", "Mixture"),
    ("ablations", "Ablations"), ("judge", "Judge"), ("sources", "Sources"), ("rejects", "Rejects"), ("history", "History"),
    ("settings", "Settings"),
)  # fmt: skip


def sections(data: ReportData, figures: Figures) -> str:
    """Return all sections that the data has something for, in order."""
    parts = [
        answer_section(data), probe_section(data, figures), ranking_section(data, figures), disagreement_section(data, figures),
        sample_section(data), plane_section(figures), pairs_section(data), distributions_section(figures),
        mixture_section(data, figures), ablation_section(data, figures), judge_section(data), sources_section(data),
        rejects_section(data, figures), history_section(data, figures), settings_section(data),
    ]  # fmt: skip
    return "".join(parts)


def charts(data: ReportData) -> Figures:
    """Return the charts that the data has something for, by name."""
    made: list[Chart | None] = [
        *probe_charts(data), ranking(data), bump(data), plane(data), margins(data), similarities(data), mixture(data),
        agreement(data), rejects(data), history(data),
    ]  # fmt: skip
    return {chart.name: chart for chart in made if chart is not None}
