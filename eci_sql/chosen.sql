-- chosen: the selection, within the budget of each group
-- inputs:  candidate: rows of per_query.sql of all folds, and grp (its group: the source of a mixture, else one for all)
--          budgets (grp, most): how many triples of a group are taken
-- columns: triple_id, query_id, positive_id, negative_id, source, fold, weight, information
-- grain:   one row for each triple
SELECT triple_id, query_id, positive_id, negative_id, source, fold, weight, information
FROM (
    SELECT candidate.*, row_number() OVER (PARTITION BY grp ORDER BY key DESC, triple_id) AS place
    FROM candidate
)
JOIN budgets USING (grp)
WHERE place <= most
ORDER BY fold, query_id, positive_id, source, place
