-- sums: what every mean of source_eci is made of, for one part of a fold
-- inputs:  scored (the result of scores.sql, rows with usable vectors)
-- columns: source, n_examples, sum_* in whole units of 2^-32 (so that parts add up to the same bits in any order),
--          n_violations, n_near_duplicates, n_lexical
-- grain:   one row for each source
SELECT
    source,
    count(*)::BIGINT AS n_examples,
    sum(round(abs(weight) * 4294967296)::BIGINT)::BIGINT AS sum_weight,
    sum(round(consistency * 4294967296)::BIGINT)::BIGINT AS sum_consistency,
    sum(round(locality * 4294967296)::BIGINT)::BIGINT AS sum_locality,
    sum(round(residuality * 4294967296)::BIGINT)::BIGINT AS sum_residuality,
    sum(round(s_neg * 4294967296)::BIGINT)::BIGINT AS sum_hardness,
    sum(round((s_pos - s_neg) * 4294967296)::BIGINT)::BIGINT AS sum_margin,
    sum(round(greatest(s_pos - s_neg, 0) * 4294967296)::BIGINT)::BIGINT AS sum_safety,
    coalesce(sum(round(lexical_overlap * 4294967296)::BIGINT), 0)::BIGINT AS sum_lexical_overlap,
    count(lexical_overlap)::BIGINT AS n_lexical,
    count(*) FILTER (WHERE s_neg >= s_pos)::BIGINT AS n_violations,
    count(*) FILTER (WHERE s_pair > 0.95)::BIGINT AS n_near_duplicates
FROM scored
GROUP BY source
ORDER BY source
