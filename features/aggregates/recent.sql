-- Counts, sums and averages over the last 7, 30, 90 and 365 days; when things last happened; the last campaign touch.
-- First by band (how long ago), then by window: few rows meet the many columns. Whole numbers stay exact as DOUBLE up to
-- 2^53, and a product with 0 or 1 is cheaper than a FILTER (a third of the time, measured on 64 of them).
WITH touched AS (
    SELECT
        customer_key,
        CASE
            WHEN period >= $since_7d THEN 0
            WHEN period >= $since_30d THEN 1
            WHEN period >= $since_90d THEN 2
            WHEN period >= $since_365d THEN 3
            ELSE 4
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
        max(greatest(last_product_view_at, last_cart_at, last_ad_click_at, last_message_click_at, last_answer_at))
            AS last_consideration_at,
        max(last_product_view_at) AS last_product_view_at,
        max(last_cart_at) AS last_cart_at,
        max(last_message_at) AS last_message_at,
        max(last_message_click_at) AS last_message_click_at,
        max(last_answer_at) AS last_answer_at
    FROM touches
    WHERE visible_from <= $i AND $i < visible_until
    GROUP BY ALL
),
purchased AS (
    SELECT
        customer_key,
        CASE
            WHEN period >= $since_7d THEN 0
            WHEN period >= $since_30d THEN 1
            WHEN period >= $since_90d THEN 2
            WHEN period >= $since_365d THEN 3
            ELSE 4
        END AS band,
        CAST(sum(n_orders) AS DOUBLE) AS n_orders,
        CAST(sum(revenue) AS DOUBLE) AS revenue,
        CAST(sum(n_amounts) AS DOUBLE) AS n_amounts
    FROM purchases
    WHERE visible_from <= $i AND $i < visible_until
    GROUP BY ALL
),
order_days AS (
    SELECT
        customer_key,
        CASE
            WHEN period >= $since_7d THEN 0
            WHEN period >= $since_30d THEN 1
            WHEN period >= $since_90d THEN 2
            WHEN period >= $since_365d THEN 3
            ELSE 4
        END AS band,
        CAST(count(*) AS DOUBLE) AS n_order_days
    FROM (
        SELECT customer_key, day, max(period) AS period
        FROM orders
        WHERE visible_from <= $i AND $i < visible_until
        GROUP BY ALL
    )
    GROUP BY ALL
),
bands AS (
    SELECT
        *,
        CAST(band <= 0 AS DOUBLE) AS in_7d,
        CAST(band <= 1 AS DOUBLE) AS in_30d,
        CAST(band <= 2 AS DOUBLE) AS in_90d,
        CAST(band <= 3 AS DOUBLE) AS in_365d
    FROM (
        SELECT * FROM touched
        UNION ALL BY NAME
        SELECT * FROM purchased
        UNION ALL BY NAME
        SELECT * FROM order_days
    )
),
touch AS (
    SELECT customer_key, max(message) AS message
    FROM last_messages
    WHERE visible_from <= $i AND $i < visible_until
    GROUP BY ALL
),
windows AS (
    SELECT
        customer_key,
        coalesce(sum(n_orders * in_7d), 0) AS n_orders_7d,
        coalesce(sum(n_orders * in_30d), 0) AS n_orders_30d,
        coalesce(sum(n_orders * in_90d), 0) AS n_orders_90d,
        coalesce(sum(n_orders * in_365d), 0) AS n_orders_365d,
        coalesce(sum(revenue * in_7d), 0) / 10000 AS revenue_7d,
        coalesce(sum(revenue * in_30d), 0) / 10000 AS revenue_30d,
        coalesce(sum(revenue * in_90d), 0) / 10000 AS revenue_90d,
        coalesce(sum(revenue * in_365d), 0) / 10000 AS revenue_365d,
        sum(revenue * in_7d) / 10000 / nullif(sum(n_amounts * in_7d), 0) AS mean_order_value_7d,
        sum(revenue * in_30d) / 10000 / nullif(sum(n_amounts * in_30d), 0) AS mean_order_value_30d,
        sum(revenue * in_90d) / 10000 / nullif(sum(n_amounts * in_90d), 0) AS mean_order_value_90d,
        sum(revenue * in_365d) / 10000 / nullif(sum(n_amounts * in_365d), 0) AS mean_order_value_365d,
        coalesce(sum(n_order_days * in_7d), 0) AS n_order_days_7d,
        coalesce(sum(n_order_days * in_30d), 0) AS n_order_days_30d,
        coalesce(sum(n_order_days * in_90d), 0) AS n_order_days_90d,
        coalesce(sum(n_order_days * in_365d), 0) AS n_order_days_365d,
        coalesce(sum(n_events * in_7d), 0) AS n_events_7d,
        coalesce(sum(n_events * in_30d), 0) AS n_events_30d,
        coalesce(sum(n_events * in_90d), 0) AS n_events_90d,
        coalesce(sum(n_events * in_365d), 0) AS n_events_365d,
        coalesce(sum(n_page_views * in_7d), 0) AS n_page_views_7d,
        coalesce(sum(n_page_views * in_30d), 0) AS n_page_views_30d,
        coalesce(sum(n_page_views * in_90d), 0) AS n_page_views_90d,
        coalesce(sum(n_page_views * in_365d), 0) AS n_page_views_365d,
        coalesce(sum(n_product_views * in_7d), 0) AS n_product_views_7d,
        coalesce(sum(n_product_views * in_30d), 0) AS n_product_views_30d,
        coalesce(sum(n_product_views * in_90d), 0) AS n_product_views_90d,
        coalesce(sum(n_product_views * in_365d), 0) AS n_product_views_365d,
        coalesce(sum(n_add_to_carts * in_7d), 0) AS n_add_to_carts_7d,
        coalesce(sum(n_add_to_carts * in_30d), 0) AS n_add_to_carts_30d,
        coalesce(sum(n_add_to_carts * in_90d), 0) AS n_add_to_carts_90d,
        coalesce(sum(n_add_to_carts * in_365d), 0) AS n_add_to_carts_365d,
        coalesce(sum(n_ad_clicks * in_7d), 0) AS n_ad_clicks_7d,
        coalesce(sum(n_ad_clicks * in_30d), 0) AS n_ad_clicks_30d,
        coalesce(sum(n_ad_clicks * in_90d), 0) AS n_ad_clicks_90d,
        coalesce(sum(n_ad_clicks * in_365d), 0) AS n_ad_clicks_365d,
        coalesce(sum(n_answers * in_7d), 0) AS n_answers_7d,
        coalesce(sum(n_answers * in_30d), 0) AS n_answers_30d,
        coalesce(sum(n_answers * in_90d), 0) AS n_answers_90d,
        coalesce(sum(n_answers * in_365d), 0) AS n_answers_365d,
        coalesce(sum(n_messages_sent * in_7d), 0) AS n_messages_sent_7d,
        coalesce(sum(n_messages_sent * in_30d), 0) AS n_messages_sent_30d,
        coalesce(sum(n_messages_sent * in_90d), 0) AS n_messages_sent_90d,
        coalesce(sum(n_messages_sent * in_365d), 0) AS n_messages_sent_365d,
        coalesce(sum(n_messages_opened * in_7d), 0) AS n_messages_opened_7d,
        coalesce(sum(n_messages_opened * in_30d), 0) AS n_messages_opened_30d,
        coalesce(sum(n_messages_opened * in_90d), 0) AS n_messages_opened_90d,
        coalesce(sum(n_messages_opened * in_365d), 0) AS n_messages_opened_365d,
        coalesce(sum(n_messages_clicked * in_7d), 0) AS n_messages_clicked_7d,
        coalesce(sum(n_messages_clicked * in_30d), 0) AS n_messages_clicked_30d,
        coalesce(sum(n_messages_clicked * in_90d), 0) AS n_messages_clicked_90d,
        coalesce(sum(n_messages_clicked * in_365d), 0) AS n_messages_clicked_365d,
        coalesce(sum(n_messages_replied * in_7d), 0) AS n_messages_replied_7d,
        coalesce(sum(n_messages_replied * in_30d), 0) AS n_messages_replied_30d,
        coalesce(sum(n_messages_replied * in_90d), 0) AS n_messages_replied_90d,
        coalesce(sum(n_messages_replied * in_365d), 0) AS n_messages_replied_365d,
        coalesce(sum(n_refunds * in_7d), 0) AS n_refunds_7d,
        coalesce(sum(n_refunds * in_30d), 0) AS n_refunds_30d,
        coalesce(sum(n_refunds * in_90d), 0) AS n_refunds_90d,
        coalesce(sum(n_refunds * in_365d), 0) AS n_refunds_365d,
        coalesce(sum(refunded * in_7d), 0) / 10000 AS refunded_7d,
        coalesce(sum(refunded * in_30d), 0) / 10000 AS refunded_30d,
        coalesce(sum(refunded * in_90d), 0) / 10000 AS refunded_90d,
        coalesce(sum(refunded * in_365d), 0) / 10000 AS refunded_365d,
        max(last_consideration_at) AS last_consideration_at,
        max(last_product_view_at) AS last_product_view_at,
        max(last_cart_at) AS last_cart_at,
        max(last_message_at) AS last_message_at,
        max(last_message_click_at) AS last_message_click_at,
        max(last_answer_at) AS last_answer_at
    FROM bands
    GROUP BY customer_key
)
SELECT
    windows.*,
    message.campaign AS last_campaign,
    message.action_id AS last_action_id,
    message.channel AS last_channel
FROM windows
LEFT JOIN touch USING (customer_key)
