-- scores: similarities, ingredients and weight of every triple of one part of a fold (README.md here: the method)
-- inputs:  part (q_ref, p_ref, n_ref, judged): numbers of texts, and the consistency of a triple that people have
--          judged (1 or -1), null for all others
--          similarities(q_ref, p_ref, n_ref), a struct of three, and lexical_overlap(q_ref, n_ref): NumPy UDFs over
--          the part's vectors and token sets; a similarity is null where a vector is missing or unusable
-- params:  temperature, kappa
-- columns: s_pos, s_neg, s_pair, consistency, locality, lexical_overlap, residuality, weight
-- grain:   one row for each triple, in the order of part: nothing here may sort, join or group, and the connection
--          preserves the order of insertion (connection.py)
WITH compared AS (
    SELECT
        judged,
        unnest(similarities(q_ref, p_ref, n_ref)),
        lexical_overlap(q_ref, n_ref) AS lexical_overlap
    FROM part
),
margins AS (
    -- beyond 700 the logistic function is 0 or 1 to the last bit, and exp would overflow
    SELECT compared.*, greatest(least((s_pos - s_neg) / $temperature, 700), -700) AS x FROM compared
),
ingredients AS (
    SELECT
        margins.* EXCLUDE (x, judged),
        coalesce(judged, 2 / (1 + exp(-x)) - 1) AS consistency,
        1 / (1 + exp(x)) AS locality,
        1 - $kappa * coalesce(lexical_overlap, 0) AS residuality
    FROM margins
)
SELECT
    ingredients.* EXCLUDE (lexical_overlap, residuality),
    lexical_overlap,
    residuality,
    consistency * locality * residuality AS weight
FROM ingredients
