-- apart: the queries on which sources differ most: the hardest negatives of two sources for one query and positive, of which one
--        has a large weight and the other a small one
-- inputs:  scores: the run's table
-- params:  sources (list), until: as in shared, n (how many)
-- columns: apart: the difference of the two weights; most, least: the two triples as structs with their source. Structs compare
--          by their fields from the left, so equal values go by source and id
-- grain:   one row for each query and positive, the largest difference first
WITH hardest AS (
    SELECT query_id, positive_id, source,
           max({'s_neg': s_neg, 'triple_id': triple_id, 'negative_id': negative_id, 's_pos': s_pos, 'weight': weight,
                'lexical_overlap': lexical_overlap}) AS t
    FROM scores
    WHERE query_id < $until AND source IN (SELECT unnest($sources::VARCHAR[]))
    GROUP BY query_id, positive_id, source
),
keyed AS (
    SELECT query_id, positive_id,
           {'weight': t.weight, 'source': source, 'triple_id': t.triple_id, 'query_id': query_id, 'positive_id': positive_id,
            'negative_id': t.negative_id, 's_pos': t.s_pos, 's_neg': t.s_neg, 'lexical_overlap': t.lexical_overlap} AS triple
    FROM hardest
)
SELECT max(triple.weight) - min(triple.weight) AS apart, max(triple) AS most, min(triple) AS least
FROM keyed
GROUP BY query_id, positive_id
HAVING max(triple.source) <> min(triple.source) AND max(triple.weight) > min(triple.weight)
ORDER BY apart DESC, max(triple).triple_id
LIMIT $n
