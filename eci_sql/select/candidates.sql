-- candidates: the scored triples of one fold that a selection may take
-- inputs:  fold_scores: rows of `scores` of one fold
-- params:  sources (list), min_weight (null: any), violations (whether triples with s_neg >= s_pos may be taken),
--          by_information (what the order is by, else by weight)
-- columns: triple_id, query_id, positive_id, negative_id, source, fold, s_pos, s_neg, weight, information, key
-- grain:   one row for each (query, positive, negative): several sources may hold it, the best of them keeps it
SELECT
    triple_id, query_id, positive_id, negative_id, source, fold, s_pos, s_neg, weight, information,
    CASE WHEN $by_information THEN information ELSE weight END AS key
FROM fold_scores
WHERE list_contains($sources, source)
  AND ($min_weight IS NULL OR weight >= $min_weight)
  AND ($violations OR s_neg < s_pos)
QUALIFY row_number() OVER (PARTITION BY query_id, positive_id, negative_id ORDER BY key DESC, source) = 1
ORDER BY query_id, triple_id
