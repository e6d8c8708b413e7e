-- Where each customer's first and last visits that said so came from, of those first seen between two instants.
SELECT
    customer_key,
    visible_from,
    visible_until,
    min({'at': occurred_at, 'id': event_id, 'source': source}) AS first_source,
    max({'at': occurred_at, 'id': event_id, 'source': source}) AS last_source
FROM history
WHERE source IS NOT NULL
GROUP BY ALL
