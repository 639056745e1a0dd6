-- texts: what texts begin with
-- inputs:  texts: the run's table
-- params:  ids (list of text_id), most (characters)
-- columns: text_id, user_id, text
-- grain:   one row for each id that has one
SELECT text_id, user_id, left(text, $most) AS text
FROM texts
WHERE text_id IN (SELECT unnest($ids::VARCHAR[]))
