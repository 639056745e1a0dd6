-- chosen: the table of the selection, within the budget of each group, in the order of the training file
-- inputs:  candidate: the triples of all folds that the budgets of the queries leave
--          budgets (grp, most): how many triples of a group are taken
-- params:  record: most triples of a query and positive that one record of the training file holds
-- columns: triple_id, query_id, positive_id, negative_id, source, fold, weight, information
-- grain:   one row for each triple
--          A record holds the triples of its query and positive best first. Records stand in the order of their best
--          triples, best first; of equal ones the smaller id comes first.
CREATE TABLE chosen AS
WITH taken AS (
    SELECT triple_id, query_id, positive_id, negative_id, source, fold, weight, information, key
    FROM (
        SELECT candidate.*, row_number() OVER (PARTITION BY grp ORDER BY key DESC, triple_id) AS place
        FROM candidate
    )
    JOIN budgets USING (grp)
    WHERE place <= most
),
dealt AS (
    SELECT taken.*, row_number() OVER (PARTITION BY query_id, positive_id ORDER BY key DESC, triple_id) - 1 AS place
    FROM taken
),
led AS (
    SELECT dealt.*, first_value(key) OVER record AS best, first_value(triple_id) OVER record AS leader
    FROM dealt
    WINDOW record AS (PARTITION BY query_id, positive_id, place // $record ORDER BY place)
)
SELECT triple_id, query_id, positive_id, negative_id, source, fold, weight, information
FROM led
ORDER BY best DESC, leader, place
