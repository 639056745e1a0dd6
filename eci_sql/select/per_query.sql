-- per_query: add the triples of one fold that the budget of each query leaves to the candidates
-- inputs:  fold_candidates: rows of select/candidates.sql, and grp; of key the larger is better
--          shares (source, alpha): how a query's budget is dealt out to its sources
-- params:  per_query
-- columns: those of candidate
-- grain:   one row for each triple
--          A query's places go round its sources: the k-th triple of a source stands at (k - 1/2) / alpha, and the
--          per_query smallest are taken (Sainte-Lague). With one share for all it is the order by key alone.
INSERT INTO candidate
WITH placed AS (
    SELECT
        fold_candidates.*,
        row_number() OVER (PARTITION BY query_id, source ORDER BY key DESC, triple_id) AS place
    FROM fold_candidates
)
SELECT placed.* EXCLUDE (place)
FROM placed
LEFT JOIN shares USING (source)
QUALIFY row_number() OVER (
    PARTITION BY query_id
    ORDER BY CASE WHEN alpha IS NULL THEN 0 ELSE (place - 0.5) / alpha END, key DESC, triple_id
) <= $per_query
