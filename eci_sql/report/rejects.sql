-- rejects: how many rows were rejected, by source and reason; no more than a page can show
-- inputs:  rejects: the run's table
-- params:  most (characters of detail)
-- columns: source, reason, rows, detail (one of them)
-- grain:   one row for each source and reason, the most frequent first
SELECT source, reason, count(*) AS "rows", left(min(detail), $most) AS detail
FROM rejects
GROUP BY source, reason
ORDER BY "rows" DESC, reason, source
LIMIT 200
