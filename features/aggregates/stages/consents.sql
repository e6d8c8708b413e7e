-- Every consent given or withdrawn. Without a channel it is about all channels, without a purpose about marketing.
-- A purpose other than marketing is withdrawn as a whole, whichever channel is named: it means what is known, not where
-- the brand writes. A refusal is lifted only by a consent of somebody who was the same person already: so each statement speaks for the
-- key under which it was written, and a consent also for every key that was known to be the same person when it was given.
WITH said AS (
    SELECT
        customer_key,
        written_key AS spoken_for,
        CASE WHEN event = $consent_given OR coalesce(about, 'marketing') = 'marketing' THEN channel END AS channel,
        about AS purpose,
        event = $consent_given AS is_given,
        occurred_at,
        received_at,
        event_id,
        visible_from,
        visible_until
    FROM (
        SELECT *, CASE WHEN json_valid(properties) THEN json_extract_string(properties, '$.purpose') END AS about
        FROM history
        WHERE event IN ($consent_given, $consent_withdrawn)
    )
)
SELECT *
FROM said
UNION ALL
SELECT said.* REPLACE (links.from_key AS spoken_for)
FROM said
JOIN links ON links.into_key = said.spoken_for AND links.known_at <= said.occurred_at
WHERE is_given
