"""Scripts without spaces become character bigrams, in the score's tokens and in BM25; nothing else is touched."""

from __future__ import annotations

from typing import Any

import bm25s
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ingest.tokens import token_lists
from jobs.retrieval.rankings import bm25_rank
from jobs.unspaced import CHARACTER, cut_runs, unspaced
from tests.parity import literal


def words_of(*texts: str | None) -> list[list[str] | None]:
    found: list[list[str] | None] = token_lists(pl.Series(texts, dtype=pl.String), "word", None).to_pylist()
    return found


# What each script's runs become, written out by hand: words first, then the bigrams in the order of the text.
CASES = [
    ("信長の野望", ["信長", "長の", "の野", "野望"]),
    ("東京タワーへ", ["東京", "京タ", "タワ", "ワー", "ーへ"]),  # scripts in one run, and the long vowel
    ("人", ["人"]),
    ("山と、川", ["山と", "川"]),
    ("Sonyの株式会社ABC 2号", ["sony", "abc", "2", "の株", "株式", "式会", "会社", "号"]),
    ("ｶﾞｽﾊﾟｲ", ["ガス", "スパ", "パイ"]),  # half-width kana, their marks joined
    ("ＡＢＣ１２ タワー", ["abc12", "タワ", "ワー"]),
    ("か\u3099くせい", ["がく", "くせ", "せい"]),  # a mark of its own
    ("人々〇〆", ["人々", "々〇", "〇〆"]),
    ("𠮷野家", ["𠮷野", "野家"]),  # beyond 16 bits
    ("ที่นี่", ["ที", "ี่", "่น", "นี", "ี่"]),  # vowels and tones are marks
    ("ก ๑๒๓ ฯลฯ", ["๑๒๓", "ก", "ฯล", "ลฯ"]),  # digits are words
    ("ພາສາ", ["ພາ", "າສ", "ສາ"]),
    ("ភាសា។ខ", ["ភា", "ាស", "សា", "ខ"]),
    ("မြန်။", ["မြ", "ြန", "န်"]),
    ("한국어 문서", ["한국어", "문서"]),  # written with spaces
    ("「・、。！？」", []),
]


@pytest.mark.parametrize(("text", "tokens"), CASES)
def test_runs_become_bigrams_and_the_rest_stays_words(text: str, tokens: list[str]) -> None:
    assert words_of(text) == [tokens]
    assert literal.word(text) == set(tokens)


def test_a_text_has_the_same_tokens_whatever_stands_beside_it() -> None:
    texts = [None, "plain words", *(text for text, _ in CASES), "", "Größe ΣΑΣ", None]
    assert words_of(*texts) == [words_of(text)[0] for text in texts]


def test_every_such_character_is_noticed() -> None:
    every = pl.Series([chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    wanted = every.str.contains(CHARACTER[:-1] + r"\x{FF10}-\x{FF9F}]").to_numpy()
    assert 90_000 < wanted.sum() < 110_000
    assert not (wanted & ~unspaced(every)).any()


LETTERS = st.characters(exclude_categories=["Cs"]).filter(lambda c: not unspaced(pl.Series([c]))[0])
CJK = st.sampled_from(sorted(set("".join(text for text, _ in CASES))) + ["a", "B", "ﾞ", "ﾟ", "\u3099", "ｱ", "ハ", "-"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | st.text(st.one_of(st.characters(max_codepoint=0x24F), LETTERS), max_size=40), max_size=5))
def test_texts_of_other_scripts_have_the_bytes_that_they_had(texts: list[str | None]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    # the tokenizer as it was before it knew scripts without spaces
    before: Any = (
        series.str.to_lowercase().str.extract_all(r"[\p{L}\p{N}_]+").to_arrow(compat_level=pl.CompatLevel.oldest())
    )
    found = token_lists(series, "word", None)
    assert found.to_pylist() == before.to_pylist()
    assert found.flatten().equals(before.flatten().cast(found.type.value_type))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(CJK, max_size=12), min_size=1, max_size=4))
def test_mixed_texts_have_the_literal_tokens(texts: list[str]) -> None:
    assert [set(tokens or ()) for tokens in words_of(*texts)] == [literal.word(text) for text in texts]


def test_cut_leaves_a_space_for_every_run() -> None:
    rest, runs = cut_runs(pl.Series(["a東京b ｶﾞ", "plain", ""]))
    assert rest.to_list() == ["a b  ", "plain", ""]
    assert runs.to_list() == [["東京", "ガ"], [], []]


def test_bm25_finds_a_chinese_passage_by_two_characters_of_its_sentence() -> None:
    passages = ["战国无双是由光荣开发的游戏", "北京是中国的首都", "the history of tea", "游戏 Tea 文化"]
    ranking = bm25_rank(["光荣开发了什么？", "中国首都在哪里", "Tea游戏", "人"], passages, 3)
    assert ranking[:, 0].tolist() == [0, 1, 3, -1]
    assert ranking[0, 1] == -1 and set(ranking[2, 1:].tolist()) == {0, 2}


def test_bm25_over_other_scripts_ranks_as_before() -> None:
    rng = np.random.default_rng(3)
    vocabulary = ["größe", "naïve", "the", "x", "année", "слово", "λόγος", "tea", "cup", "2024", "한국어"]
    passages = [" ".join(rng.choice(vocabulary, 8)) for _ in range(60)]
    queries = [" ".join(rng.choice(vocabulary, 3)) for _ in range(20)]
    # the ranking as it was made before: the library's own words, scores and order
    index = bm25s.BM25(backend="numpy", csc_backend="numpy", auto_compile=False)
    index.index(bm25s.tokenize(passages, return_ids=False, show_progress=False), show_progress=False)
    for query, row in zip(
        bm25s.tokenize(queries, return_ids=False, show_progress=False), bm25_rank(queries, passages, 5), strict=True
    ):
        ids = index.get_tokens_ids(query)
        scores = index.get_scores_from_ids(ids) if ids else np.zeros(len(passages))
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:5] if scores[i] > 0]
        assert row.tolist() == best + [-1] * (5 - len(best))
