-- Every consent given or withdrawn. Without a channel it is about all channels, without a purpose about marketing.
SELECT
    customer_key,
    channel,
    CASE WHEN json_valid(properties) THEN json_extract_string(properties, '$.purpose') END AS purpose,
    event = $consent_given AS is_given,
    occurred_at,
    received_at,
    event_id,
    visible_from,
    visible_until
FROM history
WHERE event IN ($consent_given, $consent_withdrawn)
