"""Parts of a fold: as many rows as their texts allow, whole queries where that can be."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.ids import id_array, text_id
from jobs.ingest import parts


def ids(side: str, numbers: np.ndarray) -> np.ndarray:
    return id_array(text_id(side, str(i)) for i in numbers.tolist())  # type: ignore[arg-type]


def rows_of(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows by query; some queries have more texts than a part may."""
    rng = np.random.default_rng(seed)
    query = np.sort(rng.integers(0, 30, rows))
    negative = (60 * rng.random(rows) ** 2).astype(int)
    return ids("query", query), ids("passage", query % 7), ids("passage", negative)


def texts(rows: tuple[np.ndarray, ...], start: int, end: int) -> int:
    return len({text for role in rows for text in role[start:end].tolist()})


@pytest.mark.parametrize("seed", range(5))
def test_a_part_ends_only_where_the_next_row_or_query_would_be_too_much(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 60)
    rows, most, edges = rows_of(seed), 20, [50, 51, 300]
    queries = rows[0]
    cuts = parts.cut_parts(queries, parts.row_texts(*rows).before, most, edges)
    assert cuts[0] == 0 and cuts[-1] == len(queries) and set(edges) <= set(cuts)
    for start, end in zip(cuts, cuts[1:], strict=False):
        assert start < end <= start + 60 and texts(rows, start, end) <= most
        if end in edges or end == len(queries):
            continue
        if queries[end] == queries[end - 1]:  # cut through: the query began the part, and one row more is too many
            assert queries[start] == queries[end]
            assert end - start == 60 or texts(rows, start, end + 1) > most
        else:
            more = end + int((queries[end:] == queries[end]).sum())
            more = min([more, *(edge for edge in edges if edge > end)])
            assert more - start > 60 or texts(rows, start, more) > most


def test_texts_of_rows_are_found_again_by_their_codes() -> None:
    rows = rows_of(9)
    found = parts.row_texts(*rows)
    assert found.distinct.tolist() == sorted({text for role in rows for text in role.tolist()})
    met: dict[bytes, int] = {}
    for row in range(len(rows[0])):
        here = [role[row] for role in rows]
        assert found.distinct[found.codes[row]].tolist() == here
        for k, text in enumerate(here):
            assert found.before[row, k] == met.get(text, -1)
            met[text] = row


def test_no_rows_are_no_parts() -> None:
    nothing = np.empty(0, dtype="S16")
    assert parts.cut_parts(nothing, parts.row_texts(nothing, nothing, nothing).before, 3, []) == [0]
