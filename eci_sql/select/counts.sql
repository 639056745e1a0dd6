-- counts: how many triples of each source were chosen
-- inputs:  chosen
-- columns: source, n
-- grain:   one row for each source
SELECT source, count(*) AS n FROM chosen GROUP BY source ORDER BY source
