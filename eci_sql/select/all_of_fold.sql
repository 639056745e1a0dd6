-- all_of_fold: add every triple of one fold to the candidates, where no query has a budget here
-- inputs:  fold_candidates: rows of select/candidates.sql, and grp
-- columns: those of candidate
-- grain:   one row for each triple
INSERT INTO candidate SELECT * FROM fold_candidates
