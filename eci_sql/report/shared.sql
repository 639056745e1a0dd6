-- shared: how many negatives of a query sources have in common, over a part of the queries
-- inputs:  scores: the run's table
-- params:  sources (list), until: ids of queries below it are taken. Ids are hashes, so these are a sample
-- columns: a, b, n: pairs of a query and a negative that both sources have; a = b: that the source has
-- grain:   one row for each ordered pair of sources that share one
WITH held AS (
    SELECT query_id, negative_id, list(DISTINCT source) AS sources
    FROM scores
    WHERE query_id < $until AND source IN (SELECT unnest($sources::VARCHAR[]))
    GROUP BY query_id, negative_id
),
one AS (SELECT sources, unnest(sources) AS a FROM held),
two AS (SELECT a, unnest(sources) AS b FROM one)
SELECT a, b, count(*) AS n FROM two GROUP BY a, b
