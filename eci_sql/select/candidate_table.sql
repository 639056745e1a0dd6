-- candidate_table: the empty table of the triples that a selection chooses from
-- inputs:  none
-- columns: those of select/candidates.sql, and grp (the triple's group: its source in a mixture, else one for all)
-- grain:   one row for each triple
CREATE TABLE candidate (
    triple_id UUID, query_id UUID, positive_id UUID, negative_id UUID, source VARCHAR, fold INTEGER,
    s_pos DOUBLE, s_neg DOUBLE, weight DOUBLE, information DOUBLE, key DOUBLE, grp VARCHAR
)
