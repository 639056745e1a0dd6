-- by_query: the candidates, those of a query next to each other: what a diverse choice cuts into pieces
-- inputs:  candidate
-- columns: those of candidate
-- grain:   one row for each triple
SELECT * FROM candidate ORDER BY fold, query_id, triple_id
