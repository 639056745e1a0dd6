-- histograms: similarities and margins of some sources, counted by bins
-- inputs:  scores: the run's table
-- params:  sources (list), bin (width)
-- columns: source, s_pos, s_neg, margin: the bin of one of these, counted from 0, the other two null; n
-- grain:   one row for each source, measure and bin that is not empty
WITH binned AS (
    SELECT
        source,
        floor(s_pos / $bin)::INTEGER AS s_pos,
        floor(s_neg / $bin)::INTEGER AS s_neg,
        floor((s_pos - s_neg) / $bin)::INTEGER AS margin
    FROM scores
    WHERE source IN (SELECT unnest($sources::VARCHAR[]))
)
SELECT source, s_pos, s_neg, margin, count(*) AS n
FROM binned
GROUP BY GROUPING SETS ((source, s_pos), (source, s_neg), (source, margin))
