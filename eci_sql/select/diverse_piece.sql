-- diverse_piece: add what a diverse choice takes of one piece
-- inputs:  piece: rows of candidate, with key (falls in the order that they were taken)
-- columns: those of candidate
-- grain:   one row for each triple
INSERT INTO diverse SELECT * FROM piece
