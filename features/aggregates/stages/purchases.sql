-- What each customer ordered, in each period between two edges of windows.
SELECT
    customer_key,
    period,
    visible_from,
    visible_until,
    CAST(count(*) AS INTEGER) AS n_orders,
    sum(amount) AS revenue,
    CAST(count(amount) AS INTEGER) AS n_amounts,
    max(amount) AS max_order_value,
    sum(n_items) AS n_items,
    sum(n_lines) AS n_lines,
    CAST(count(n_items) AS INTEGER) AS n_baskets,
    min(occurred_at) AS first_order_at,
    max(occurred_at) AS last_order_at
FROM orders
GROUP BY ALL
