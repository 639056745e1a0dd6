-- within_queries: how many candidates the budgets of the queries leave altogether
-- inputs:  candidate
-- params:  per_query
-- columns: n, null without candidates
-- grain:   one row
SELECT sum(least(n, $per_query)) AS n
FROM (SELECT count(*) AS n FROM candidate GROUP BY query_id)
