-- All that later steps only sum up or take the first or last of: what a row does not speak of is null.
SELECT * FROM touches
UNION ALL BY NAME
SELECT * FROM purchases
UNION ALL BY NAME
SELECT * FROM last_messages
UNION ALL BY NAME
SELECT * FROM sources
