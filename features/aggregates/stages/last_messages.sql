-- The last message that each customer was sent, of those first seen between two instants.
SELECT
    customer_key,
    visible_from,
    visible_until,
    max({'sent_at': occurred_at, 'id': event_id, 'campaign': campaign, 'action_id': action_id, 'channel': channel}) AS message
FROM history
WHERE event = $message_sent AND action_id IS DISTINCT FROM 'nothing'
GROUP BY ALL
