-- What each customer did by band, that is, by how long ago: within 7 days, 7 to 30, 30 to 90, 90 to 365. The windows of
-- `recent` are running sums of these (features/windows.py). Money is in ten-thousandths. A customer and a band can have up
-- to two rows; what a row does not speak of is null.
WITH done AS (
    SELECT
        customer_key,
        CASE
            WHEN period >= $since_7d THEN 0
            WHEN period >= $since_30d THEN 1
            WHEN period >= $since_90d THEN 2
            ELSE 3
        END AS band,
        CAST(sum(n_events) AS DOUBLE) AS n_events,
        CAST(sum(n_page_views) AS DOUBLE) AS n_page_views,
        CAST(sum(n_product_views) AS DOUBLE) AS n_product_views,
        CAST(sum(n_add_to_carts) AS DOUBLE) AS n_add_to_carts,
        CAST(sum(n_ad_clicks) AS DOUBLE) AS n_ad_clicks,
        CAST(sum(n_answers) AS DOUBLE) AS n_answers,
        CAST(sum(n_messages_sent) AS DOUBLE) AS n_messages_sent,
        CAST(sum(n_messages_opened) AS DOUBLE) AS n_messages_opened,
        CAST(sum(n_messages_clicked) AS DOUBLE) AS n_messages_clicked,
        CAST(sum(n_messages_replied) AS DOUBLE) AS n_messages_replied,
        CAST(sum(n_refunds) AS DOUBLE) AS n_refunds,
        CAST(sum(refunded) AS DOUBLE) AS refunded,
        CAST(sum(n_orders) AS DOUBLE) AS n_orders,
        CAST(sum(revenue) AS DOUBLE) AS revenue,
        CAST(sum(n_amounts) AS DOUBLE) AS n_amounts
    FROM deeds
    WHERE visible_from <= $i AND $i < visible_until AND period >= $since_365d
    GROUP BY ALL
),
order_days AS (
    SELECT
        customer_key,
        CASE
            WHEN period >= $since_7d THEN 0
            WHEN period >= $since_30d THEN 1
            WHEN period >= $since_90d THEN 2
            ELSE 3
        END AS band,
        CAST(count(*) AS DOUBLE) AS n_order_days
    FROM (
        SELECT customer_key, day, max(period) AS period
        FROM orders
        WHERE visible_from <= $i AND $i < visible_until
        GROUP BY ALL
    )
    WHERE period >= $since_365d
    GROUP BY ALL
)
SELECT * FROM done
UNION ALL BY NAME
SELECT * FROM order_days
