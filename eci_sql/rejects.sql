-- rejects: the rejected rows of a run, in the order of its published table
-- inputs:  found: rows of the table rejects, from every stage
-- columns: those of found
-- grain:   one row for each rejected row
SELECT * FROM found ORDER BY file, row, source, reason, detail, record
