-- groups: how many candidates there are of each group
-- inputs:  candidate
-- columns: grp, n
-- grain:   one row for each group
SELECT grp, count(*) AS n FROM candidate GROUP BY grp
