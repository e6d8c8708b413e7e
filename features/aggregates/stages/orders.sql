-- One row an order, in the intervals of instants at which it is seen. Two events with one order id are one order: the
-- one that was known first. An order without an id is its own.
WITH found AS (
    SELECT
        customer_key,
        coalesce(order_id, event_id) AS order_key,
        occurred_at,
        greatest(occurred_at, received_at) AS known_at,
        event_id,
        coalesce(
            total,
            list_sum(list_transform(products, lambda line: coalesce(line.quantity, 1) * line.price))
        ) AS amount,
        products,
        period,
        visible_from,
        visible_until,
        count(*) OVER (PARTITION BY customer_key, coalesce(order_id, event_id)) AS n_versions
    FROM history
    WHERE event = $order
),
seen AS (
    SELECT * EXCLUDE (n_versions) FROM found WHERE n_versions = 1
    UNION ALL
    -- Several events of one order: instant by instant, the first known of those seen then.
    SELECT * EXCLUDE (n_versions, i) REPLACE (i AS visible_from, i + 1 AS visible_until)
    FROM (SELECT *, unnest(range(visible_from, visible_until)) AS i FROM found WHERE n_versions > 1)
    QUALIFY row_number() OVER (PARTITION BY i, customer_key, order_key ORDER BY known_at, occurred_at, event_id) = 1
)
SELECT
    customer_key,
    occurred_at,
    period,
    CAST(timezone($time_zone, timezone('UTC', occurred_at)) AS DATE) AS day,
    hour(timezone($time_zone, timezone('UTC', occurred_at))) AS hour,
    units(amount) AS amount,
    len(products) AS n_lines,
    list_sum(list_transform(products, lambda line: units(coalesce(line.quantity, 1)))) AS n_items,
    products,
    visible_from,
    visible_until
FROM seen
