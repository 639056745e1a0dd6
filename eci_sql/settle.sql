-- settle: which of a fold's rows are scored, and why the others are not
-- inputs:  incoming (query_id, positive_id, negative_id, source, unit, row): the fold's rows from all inputs
-- columns: those of incoming, and
--   reason  null for a row to score, a reject reason, or 'duplicate'
-- grain:   one row for each incoming row
WITH labelled AS (
    SELECT DISTINCT query_id, positive_id FROM incoming
),
judged AS (
    SELECT
        incoming.*,
        CASE
            WHEN incoming.negative_id = incoming.positive_id THEN 'negative_is_positive'
            WHEN labelled.query_id IS NOT NULL THEN 'negative_is_labelled_positive'
        END AS fault
    FROM incoming
    LEFT JOIN labelled
        ON labelled.query_id = incoming.query_id AND labelled.positive_id = incoming.negative_id
),
numbered AS (
    SELECT
        judged.*,
        row_number() OVER (
            PARTITION BY query_id, positive_id, negative_id, source, fault ORDER BY unit, row
        ) AS copy
    FROM judged
)
SELECT
    query_id, positive_id, negative_id, source, unit, row,
    coalesce(fault, CASE WHEN copy > 1 THEN 'duplicate' END) AS reason
FROM numbered
ORDER BY query_id, source, positive_id, negative_id, unit, row
