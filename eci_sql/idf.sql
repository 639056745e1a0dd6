-- idf: inverse document frequency of every token, over the distinct passages of the run's triples
-- inputs:  tokens (token, document_frequency, in_query): one row for each bucket and token
-- params:  passages: D, the number of distinct passages with a text
-- columns: token, document_frequency, idf = ln(1 + (D - df + 0.5) / (df + 0.5)), in_query
--          idf is rounded to 2^-20: the logarithm's last bits differ between CPU families, the rounded value does not
-- grain:   one row for each token
WITH counted AS (
    SELECT token, sum(document_frequency)::BIGINT AS document_frequency, bool_or(in_query) AS in_query
    FROM tokens
    GROUP BY token
)
SELECT
    token,
    document_frequency,
    round(ln(1 + ($passages - document_frequency + 0.5) / (document_frequency + 0.5)) * 1048576) / 1048576 AS idf,
    in_query
FROM counted
ORDER BY token
