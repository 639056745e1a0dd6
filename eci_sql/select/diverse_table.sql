-- diverse_table: the empty table of what a diverse choice takes of the candidates; it replaces them in the end
-- inputs:  candidate
-- columns: those of candidate
-- grain:   one row for each triple
CREATE TABLE diverse AS SELECT * FROM candidate WHERE false
