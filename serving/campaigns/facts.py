"""What the contact rules count for a whole group of customers, read at once, and kept up while the group is written.

The same facts as `contact.reading.read_facts` gives one customer after the other, in a handful of queries for all of
them. It holds inside the transaction that writes the group, where nobody else moves a counter.
"""

from __future__ import annotations

_CUSTOMERS = """
SELECT 'refusal', customer_key, action_id, reason, refused_at FROM refusals
WHERE customer_key IN (SELECT value FROM json_each(?1))
UNION ALL
SELECT 'limit', customer_key, channel, code, until FROM carrier_limits
WHERE customer_key IN (SELECT value FROM json_each(?1)) AND until > ?2
UNION ALL
SELECT 'left', outcomes.customer_key,
       CASE WHEN outcomes.joined_by = 'decision_id' THEN decisions.channel ELSE ?3 END, '', 0
FROM outcomes LEFT JOIN decisions USING (decision_id)
WHERE outcomes.customer_key IN (SELECT value FROM json_each(?1)) AND outcomes.outcome = 'unsubscribed'
"""
_CONTACTS = """
SELECT customer_key, decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until,
       clicked_at, converted_at
FROM contacts
WHERE customer_key IN (SELECT value FROM json_each(?1)) AND initiated_by = ?2 AND latest_at > ?3
"""
