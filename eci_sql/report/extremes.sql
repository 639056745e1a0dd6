-- extremes: the triples of some sources with the largest and the smallest weights
-- inputs:  scores: the run's table
-- params:  sources (list), n (how many of each)
-- columns: source, best, worst: lists of structs, the largest weight first and the smallest first. Structs compare by
--          their fields from the left, so equal weights go by triple_id
-- grain:   one row for each source
WITH keyed AS (
    SELECT source, {'weight': weight, 'triple_id': triple_id, 'query_id': query_id, 'positive_id': positive_id,
                    'negative_id': negative_id, 's_pos': s_pos, 's_neg': s_neg, 'consistency': consistency,
                    'locality': locality, 'lexical_overlap': lexical_overlap} AS triple
    FROM scores
    WHERE source IN (SELECT unnest($sources::VARCHAR[]))
)
SELECT source, max(triple, $n) AS best, min(triple, $n) AS worst
FROM keyed
GROUP BY source
