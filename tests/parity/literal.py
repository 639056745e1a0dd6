"""The score `eci-sem/1` word for word, in loops over Python floats: slow, and meant to be read.

Covers: ids, folds, tokens, idf, overlap, weights, matrices, scores, baselines, jackknife.
Does not cover: differences between sources, mixtures.

Nothing here comes from the code under test, and nothing is vectorised: three loops, over sources, folds and
examples. numpy appears for matrices only: the outer product of one residual, sums, determinants, eigenvalues.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Vector = Sequence[float] | np.ndarray
NEAR_DUPLICATE = 0.95


@dataclass(frozen=True)
class Parameters:
    """Settings of the formula."""

    temperature: float = 0.05
    kappa: float = 0.5
    lam: float = 1.0
    folds: int = 32


@dataclass(frozen=True)
class Triple:
    """One example; query, positive and negative are text ids."""

    query: bytes
    positive: bytes
    negative: bytes
    source: str


@dataclass(frozen=True)
class Example:
    """One scored triple, named as in the `scores` table; residual is r, (d,)."""

    triple: Triple
    fold: int
    s_pos: float
    s_neg: float
    s_pair: float
    consistency: float
    locality: float
    lexical_overlap: float | None
    residuality: float
    weight: float
    residual: list[float]


@dataclass(frozen=True)
class SourceRow:
    """One source, named as in the `source_eci` table; leave_out holds a value or nan for a fold."""

    eci: float
    eci_se: float
    leave_out: list[float]
    information: float
    misinformation: float
    purity: float
    n_examples: int
    n_queries: int
    n_negatives: int
    mean_weight: float
    mean_consistency: float
    mean_locality: float
    mean_residuality: float
    trace: float
    effective_rank: float
    hardness: float
    margin: float
    violation_rate: float
    near_duplicate_rate: float
    lexical_overlap: float | None
    eci_v1: float


def text_id(side: str, text: str) -> bytes:
    """First 16 bytes of SHA-256 over the side, `q` or `p`, and the text or the user's id."""
    return hashlib.sha256(side.encode("ascii") + text.encode("utf-8")).digest()[:16]


def fold_of(query: bytes, folds: int) -> int:
    """First 8 bytes of the query's id, big-endian, modulo the number of folds."""
    number = 0
    for byte in query[:8]:
        number = number * 256 + byte
    return number % folds


def sample_position(query: bytes) -> float:
    """Last 8 bytes of the query's id, big-endian, over 2^64."""
    number = 0
    for byte in query[8:16]:
        number = number * 256 + byte
    return number / 2**64


def word(text: str) -> set[str]:
    """Maximal runs of Unicode letters, digits and underscore, in lower case; of scripts without spaces character bigrams."""
    tokens: set[str] = set()
    words, run = "", ""
    for character in [*_one_width(text.lower()), " "]:
        if _without_spaces(character):
            run += character
            words += " "
            continue
        if len(run) == 1:
            tokens.add(run)
        for i in range(len(run) - 1):
            tokens.add(run[i : i + 2])
        run = ""
        words += character
    return tokens | set(re.findall(r"\w+", words))


def _one_width(text: str) -> str:
    """Full-width letters and digits, and half-width kana, as everybody else writes them; a kana and its mark as one."""
    found = ""
    for character in text:
        code = ord(character)
        if 0xFF01 <= code <= 0xFF5E and character.isalnum() or 0xFF65 <= code <= 0xFF9F:
            character = unicodedata.normalize("NFKC", character)
        if character in "\u3099\u309a" and found and 0x3041 <= ord(found[-1]) <= 0x30FF:
            found = found[:-1] + unicodedata.normalize("NFC", found[-1] + character)
        else:
            found += character
    return found


def _without_spaces(character: str) -> bool:
    """Whether a character is a letter or mark of a script that is written without spaces, by its name."""
    if character in "\u3006\u3007\u303c\u3099\u309a\u30fc" or 0x3031 <= ord(character) <= 0x3035:
        return True
    scripts = (
        "CJK UNIFIED",
        "CJK COMPATIBILITY IDEOGRAPH",
        "IDEOGRAPHIC ITERATION",
        "HIRAGANA",
        "KATAKANA",
        "THAI",
        "LAO",
        "KHMER",
        "MYANMAR",
    )
    letter = unicodedata.category(character)[0] in "LM"
    return letter and unicodedata.name(character, "").startswith(scripts)


def char3(text: str) -> set[str]:
    """Every three neighbouring characters, in lower case; a shorter text is one token."""
    lower = text.lower()
    if 0 < len(lower) < 3:
        return {lower}
    return {lower[i : i + 3] for i in range(len(lower) - 2)}


def idf(passages: Iterable[set[str]]) -> dict[str, float]:
    """ln(1 + (D - df + 0.5)/(df + 0.5)) of every token of D distinct passages."""
    count = 0
    frequency: dict[str, int] = {}
    for tokens in passages:
        count += 1
        for token in tokens:
            frequency[token] = frequency.get(token, 0) + 1
    return {t: idf_of(df, count) for t, df in frequency.items()}


def idf_of(document_frequency: int, documents: int) -> float:
    """Idf of one token; a token in no passage has document frequency 0."""
    return math.log(1.0 + (documents - document_frequency + 0.5) / (document_frequency + 0.5))


def overlap(a: set[str], b: set[str], weights: Mapping[str, float], unseen: float) -> float:
    """Sum of idf over a and b together over the sum over a; 0 for an empty a.

    Args:
        a, b: tokens of the query and of the passage.
        weights: idf by token.
        unseen: idf of a token that is in no passage.
    """
    shared = total = 0.0
    for token in sorted(a):
        total += weights.get(token, unseen)
        if token in b:
            shared += weights.get(token, unseen)
    return shared / total if total > 0.0 else 0.0


def sigmoid(x: float) -> float:
    """Logistic function."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def dot(a: Vector, b: Vector) -> float:
    """Sum of products."""
    total = 0.0
    for i in range(len(a)):
        total += float(a[i]) * float(b[i])
    return total


def example(
    triple: Triple,
    vectors: Mapping[bytes, Vector],
    shared: float | None,
    parameters: Parameters,
    judged: float | None = None,
) -> Example:
    """One triple's score; `shared` is overlap(q, n), None where there are no texts; `judged` 1 or -1 where people judged."""
    zq, zp, zn = (vectors[i] for i in (triple.query, triple.positive, triple.negative))
    s_pos, s_neg = dot(zq, zp), dot(zq, zn)
    x = (s_pos - s_neg) / parameters.temperature
    consistency = 2.0 * sigmoid(x) - 1.0 if judged is None else judged
    locality = sigmoid(-x)
    residuality = 1.0 if shared is None else 1.0 - parameters.kappa * shared
    difference = [float(zn[i]) - float(zp[i]) for i in range(len(zq))]
    along = dot(zq, difference)
    return Example(
        triple=triple,
        fold=fold_of(triple.query, parameters.folds),
        s_pos=s_pos,
        s_neg=s_neg,
        s_pair=dot(zp, zn),
        consistency=consistency,
        locality=locality,
        lexical_overlap=shared,
        residuality=residuality,
        weight=consistency * locality * residuality,
        residual=[difference[i] - float(zq[i]) * along for i in range(len(zq))],
    )


def fold_moments(examples: Sequence[Example], sign: int, dim: int, folds: int) -> list[np.ndarray]:
    """Sum of |w| r r^T over the examples of each fold whose weight has this sign, not divided by N."""
    sums = [np.zeros((dim, dim)) for _ in range(folds)]
    for one in examples:
        if one.weight * sign > 0.0:
            # the d x d products of one example: the only place where numpy spares two loops
            sums[one.fold] += abs(one.weight) * np.outer(one.residual, one.residual)
    return sums


def mean_moment(sums: Sequence[np.ndarray], n: int, without: int | None = None) -> np.ndarray:
    """(1/N) * the sum over all folds but `without`."""
    total = np.zeros_like(sums[0])
    for fold, matrix in enumerate(sums):
        if fold != without:
            total = total + matrix
    return total / n


def information(matrix: np.ndarray, lam: float) -> float:
    """(1/d) * logdet(I + (d/lambda) M)."""
    dim = len(matrix)
    return float(np.linalg.slogdet(np.eye(dim) + dim / lam * matrix)[1]) / dim


def effective_rank(matrix: np.ndarray) -> float:
    """exp(entropy of the normalised eigenvalues), 0 for a zero matrix."""
    eigenvalues = [max(float(value), 0.0) for value in np.linalg.eigvalsh(matrix)]
    total = sum(eigenvalues)
    if total == 0.0:
        return 0.0
    entropy = 0.0
    for value in eigenvalues:
        if value > 0.0:
            entropy -= value / total * math.log(value / total)
    return math.exp(entropy)


def eci(mean_plus: np.ndarray, mean_minus: np.ndarray, lam: float) -> tuple[float, float, float, float]:
    """Information, misinformation, purity and ECI of one source's mean matrices."""
    good, bad = information(mean_plus, lam), information(mean_minus, lam)
    purity = 0.0
    if good > 0.0:
        purity = good / (good + bad)
    return good, bad, purity, good * purity


def leave_one_fold_out(
    examples: Sequence[Example], plus: Sequence[np.ndarray], minus: Sequence[np.ndarray], parameters: Parameters
) -> tuple[list[float], float]:
    """ECI without each fold (nan: the fold holds no example), and the standard error."""
    leave_out = []
    for fold in range(parameters.folds):
        rest = len([one for one in examples if one.fold != fold])
        value = math.nan
        if rest < len(examples):
            value = 0.0
            if rest:
                value = eci(mean_moment(plus, rest, fold), mean_moment(minus, rest, fold), parameters.lam)[3]
        leave_out.append(value)
    counted = [value for value in leave_out if not math.isnan(value)]
    g = len(counted)
    if g < 2:
        return leave_out, math.nan
    mean = sum(counted) / g
    return leave_out, math.sqrt((g - 1) / g * sum((value - mean) ** 2 for value in counted))


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean."""
    listed = list(values)
    return sum(listed) / len(listed)


def first_version(examples: Sequence[Example]) -> float:
    """log(1 + N) times the harmonic mean of hardness and safety, each clipped at 0."""
    hardness = max(0.0, mean(one.s_neg for one in examples))
    safety = mean(max(0.0, one.s_pos - one.s_neg) for one in examples)
    if hardness + safety == 0.0:
        return 0.0
    return math.log(1 + len(examples)) * 2.0 * hardness * safety / (hardness + safety)


def source_row(examples: Sequence[Example], dim: int, parameters: Parameters) -> SourceRow:
    """Everything that `source_eci` says about one source."""
    plus = fold_moments(examples, +1, dim, parameters.folds)
    minus = fold_moments(examples, -1, dim, parameters.folds)
    trusted = mean_moment(plus, len(examples))
    good, bad, purity, value = eci(trusted, mean_moment(minus, len(examples)), parameters.lam)
    leave_out, se = leave_one_fold_out(examples, plus, minus, parameters)
    overlaps = [one.lexical_overlap for one in examples if one.lexical_overlap is not None]
    return SourceRow(
        eci=value,
        eci_se=se,
        leave_out=leave_out,
        information=good,
        misinformation=bad,
        purity=purity,
        n_examples=len(examples),
        n_queries=len({one.triple.query for one in examples}),
        n_negatives=len({one.triple.negative for one in examples}),
        mean_weight=mean(abs(one.weight) for one in examples),
        mean_consistency=mean(one.consistency for one in examples),
        mean_locality=mean(one.locality for one in examples),
        mean_residuality=mean(one.residuality for one in examples),
        trace=sum(trusted[i][i] for i in range(dim)),
        effective_rank=effective_rank(trusted),
        hardness=mean(one.s_neg for one in examples),
        margin=mean(one.s_pos - one.s_neg for one in examples),
        violation_rate=mean(float(one.s_neg >= one.s_pos) for one in examples),
        near_duplicate_rate=mean(float(one.s_pair > NEAR_DUPLICATE) for one in examples),
        lexical_overlap=mean(overlaps) if overlaps else None,
        eci_v1=first_version(examples),
    )


def score_examples(
    triples: Iterable[Triple],
    vectors: Mapping[bytes, Vector],
    tokens: Mapping[bytes, set[str]] | None,
    weights: Mapping[str, float],
    unseen: float,
    parameters: Parameters,
    judgements: Mapping[tuple[bytes, bytes], float] | None = None,
) -> list[Example]:
    """Every triple's score, in order; `tokens` by text id, None where texts are absent; judgements by (query, negative)."""
    examples = []
    for triple in triples:
        shared = None
        if tokens is not None:
            shared = overlap(tokens[triple.query], tokens[triple.negative], weights, unseen)
        judged = (judgements or {}).get((triple.query, triple.negative))
        examples.append(example(triple, vectors, shared, parameters, judged))
    return examples


def score_sources(examples: Iterable[Example], parameters: Parameters) -> dict[str, SourceRow]:
    """Every source's row, by name."""
    by_source: dict[str, list[Example]] = {}
    for one in examples:
        by_source.setdefault(one.triple.source, []).append(one)
    return {
        source: source_row(group, len(group[0].residual), parameters) for source, group in sorted(by_source.items())
    }
