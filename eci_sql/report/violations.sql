-- violations: triples of some sources whose negative scores above the positive, taken by chance, for people to judge
-- inputs:  scores: the run's table
-- params:  sources (list), n (how many of each)
-- columns: source, total (all that are not judged yet), triples: a list of structs. Ids are hashes, so the smallest
--          triple_ids are a sample; structs compare by their fields from the left
-- grain:   one row for each source that has one
SELECT source, count(*) AS total,
       min({'triple_id': triple_id, 'query_id': query_id, 'positive_id': positive_id, 'negative_id': negative_id,
            's_pos': s_pos, 's_neg': s_neg, 'weight': weight, 'lexical_overlap': lexical_overlap}, $n) AS triples
FROM scores
-- beyond judgements, no consistency is a whole 1 or -1 unless a margin is 37 temperatures wide
WHERE s_neg >= s_pos AND abs(consistency) < 1 AND source IN (SELECT unnest($sources::VARCHAR[]))
GROUP BY source
