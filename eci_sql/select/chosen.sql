-- chosen: the table of the selection, within the budget of each group
-- inputs:  candidate: the triples of all folds that the budgets of the queries leave
--          budgets (grp, most): how many triples of a group are taken
-- columns: triple_id, query_id, positive_id, negative_id, source, fold, weight, information
-- grain:   one row for each triple
CREATE TABLE chosen AS
SELECT triple_id, query_id, positive_id, negative_id, source, fold, weight, information
FROM (
    SELECT candidate.*, row_number() OVER (PARTITION BY grp ORDER BY key DESC, triple_id) AS place
    FROM candidate
)
JOIN budgets USING (grp)
WHERE place <= most
ORDER BY fold, query_id, positive_id, source, place
