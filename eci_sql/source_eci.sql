-- source_eci: the ranking
-- inputs:  estimates: one row a source: kind, parts, information, misinformation, purity, eci, eci_se, eci_lo, eci_hi,
--          rank, rank_lo, rank_hi, trace, effective_rank, eci_v1, folds_done, n_* and the sums of sums.sql over all folds
-- columns: the table's, less those that are the same for the whole run
-- grain:   one row for each source or mixture
SELECT
    kind, source, parts, rank, rank_lo, rank_hi,
    eci, eci_se, eci_lo, eci_hi, information, misinformation, purity,
    n_examples, n_rejected, n_queries, n_negatives, n_near_positive,
    sum_weight / 4294967296 / n_examples AS mean_weight,
    sum_consistency / 4294967296 / n_examples AS mean_consistency,
    sum_locality / 4294967296 / n_examples AS mean_locality,
    sum_residuality / 4294967296 / n_examples AS mean_residuality,
    trace, effective_rank,
    sum_hardness / 4294967296 / n_examples AS hardness,
    sum_margin / 4294967296 / n_examples AS margin,
    n_violations / n_examples AS violation_rate,
    n_near_duplicates / n_examples AS near_duplicate_rate,
    CASE WHEN n_lexical > 0 THEN sum_lexical_overlap / 4294967296 / n_lexical END AS lexical_overlap,
    eci_v1, folds_done
FROM estimates
ORDER BY rank NULLS LAST, source
