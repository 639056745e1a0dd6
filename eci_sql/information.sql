-- information: log-determinant information of a source, whole and without each fold
-- inputs:  sums (fold, n_examples, plus, minus): fold null for the whole source, else the sums without that fold;
--          plus and minus are packed matrices, or numbers of matrices that lie in NumPy
--          eci_information(matrix, n, lambda): NumPy UDF over either, (1/d) logdet(I + (d / lambda) matrix / n)
-- params:  lambda
-- columns: fold, information, misinformation, purity, eci
-- grain:   one row for each row of sums
WITH measured AS (
    SELECT
        fold,
        eci_information(plus, n_examples, $lambda) AS information,
        eci_information(minus, n_examples, $lambda) AS misinformation
    FROM sums
)
SELECT
    fold,
    information,
    misinformation,
    CASE WHEN information > 0 THEN information / (information + misinformation) ELSE 0 END AS purity,
    information * purity AS eci
FROM measured
ORDER BY fold NULLS FIRST
