-- Counts, sums and averages over the last 7, 30, 90 and 365 days; when things last happened; the last campaign touch.
-- First by band (how long ago), then by window: few groups meet the many columns.
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
        sum(n_events) AS n_events,
        sum(n_page_views) AS n_page_views,
        sum(n_product_views) AS n_product_views,
        sum(n_add_to_carts) AS n_add_to_carts,
        sum(n_ad_clicks) AS n_ad_clicks,
        sum(n_answers) AS n_answers,
        sum(n_messages_sent) AS n_messages_sent,
        sum(n_messages_opened) AS n_messages_opened,
        sum(n_messages_clicked) AS n_messages_clicked,
        sum(n_messages_replied) AS n_messages_replied,
        sum(n_refunds) AS n_refunds,
        sum(refunded) AS refunded,
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
        sum(n_orders) AS n_orders,
        sum(revenue) AS revenue,
        sum(n_amounts) AS n_amounts
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
        count(*) AS n_order_days
    FROM (
        SELECT customer_key, day, max(period) AS period
        FROM orders
        WHERE visible_from <= $i AND $i < visible_until
        GROUP BY ALL
    )
    GROUP BY ALL
),
bands AS (
    SELECT * FROM touched
    UNION ALL BY NAME
    SELECT * FROM purchased
    UNION ALL BY NAME
    SELECT * FROM order_days
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
        coalesce(sum(n_orders) FILTER (WHERE band <= 0), 0) AS n_orders_7d,
        coalesce(sum(n_orders) FILTER (WHERE band <= 1), 0) AS n_orders_30d,
        coalesce(sum(n_orders) FILTER (WHERE band <= 2), 0) AS n_orders_90d,
        coalesce(sum(n_orders) FILTER (WHERE band <= 3), 0) AS n_orders_365d,
        coalesce(sum(revenue) FILTER (WHERE band <= 0), 0) / 10000 AS revenue_7d,
        coalesce(sum(revenue) FILTER (WHERE band <= 1), 0) / 10000 AS revenue_30d,
        coalesce(sum(revenue) FILTER (WHERE band <= 2), 0) / 10000 AS revenue_90d,
        coalesce(sum(revenue) FILTER (WHERE band <= 3), 0) / 10000 AS revenue_365d,
        sum(revenue) FILTER (WHERE band <= 0) / 10000 / nullif(sum(n_amounts) FILTER (WHERE band <= 0), 0) AS mean_order_value_7d,
        sum(revenue) FILTER (WHERE band <= 1) / 10000 / nullif(sum(n_amounts) FILTER (WHERE band <= 1), 0) AS mean_order_value_30d,
        sum(revenue) FILTER (WHERE band <= 2) / 10000 / nullif(sum(n_amounts) FILTER (WHERE band <= 2), 0) AS mean_order_value_90d,
        sum(revenue) FILTER (WHERE band <= 3) / 10000 / nullif(sum(n_amounts) FILTER (WHERE band <= 3), 0) AS mean_order_value_365d,
        coalesce(sum(n_order_days) FILTER (WHERE band <= 0), 0) AS n_order_days_7d,
        coalesce(sum(n_order_days) FILTER (WHERE band <= 1), 0) AS n_order_days_30d,
        coalesce(sum(n_order_days) FILTER (WHERE band <= 2), 0) AS n_order_days_90d,
        coalesce(sum(n_order_days) FILTER (WHERE band <= 3), 0) AS n_order_days_365d,
        coalesce(sum(n_events) FILTER (WHERE band <= 0), 0) AS n_events_7d,
        coalesce(sum(n_events) FILTER (WHERE band <= 1), 0) AS n_events_30d,
        coalesce(sum(n_events) FILTER (WHERE band <= 2), 0) AS n_events_90d,
        coalesce(sum(n_events) FILTER (WHERE band <= 3), 0) AS n_events_365d,
        coalesce(sum(n_page_views) FILTER (WHERE band <= 0), 0) AS n_page_views_7d,
        coalesce(sum(n_page_views) FILTER (WHERE band <= 1), 0) AS n_page_views_30d,
        coalesce(sum(n_page_views) FILTER (WHERE band <= 2), 0) AS n_page_views_90d,
        coalesce(sum(n_page_views) FILTER (WHERE band <= 3), 0) AS n_page_views_365d,
        coalesce(sum(n_product_views) FILTER (WHERE band <= 0), 0) AS n_product_views_7d,
        coalesce(sum(n_product_views) FILTER (WHERE band <= 1), 0) AS n_product_views_30d,
        coalesce(sum(n_product_views) FILTER (WHERE band <= 2), 0) AS n_product_views_90d,
        coalesce(sum(n_product_views) FILTER (WHERE band <= 3), 0) AS n_product_views_365d,
        coalesce(sum(n_add_to_carts) FILTER (WHERE band <= 0), 0) AS n_add_to_carts_7d,
        coalesce(sum(n_add_to_carts) FILTER (WHERE band <= 1), 0) AS n_add_to_carts_30d,
        coalesce(sum(n_add_to_carts) FILTER (WHERE band <= 2), 0) AS n_add_to_carts_90d,
        coalesce(sum(n_add_to_carts) FILTER (WHERE band <= 3), 0) AS n_add_to_carts_365d,
        coalesce(sum(n_ad_clicks) FILTER (WHERE band <= 0), 0) AS n_ad_clicks_7d,
        coalesce(sum(n_ad_clicks) FILTER (WHERE band <= 1), 0) AS n_ad_clicks_30d,
        coalesce(sum(n_ad_clicks) FILTER (WHERE band <= 2), 0) AS n_ad_clicks_90d,
        coalesce(sum(n_ad_clicks) FILTER (WHERE band <= 3), 0) AS n_ad_clicks_365d,
        coalesce(sum(n_answers) FILTER (WHERE band <= 0), 0) AS n_answers_7d,
        coalesce(sum(n_answers) FILTER (WHERE band <= 1), 0) AS n_answers_30d,
        coalesce(sum(n_answers) FILTER (WHERE band <= 2), 0) AS n_answers_90d,
        coalesce(sum(n_answers) FILTER (WHERE band <= 3), 0) AS n_answers_365d,
        coalesce(sum(n_messages_sent) FILTER (WHERE band <= 0), 0) AS n_messages_sent_7d,
        coalesce(sum(n_messages_sent) FILTER (WHERE band <= 1), 0) AS n_messages_sent_30d,
        coalesce(sum(n_messages_sent) FILTER (WHERE band <= 2), 0) AS n_messages_sent_90d,
        coalesce(sum(n_messages_sent) FILTER (WHERE band <= 3), 0) AS n_messages_sent_365d,
        coalesce(sum(n_messages_opened) FILTER (WHERE band <= 0), 0) AS n_messages_opened_7d,
        coalesce(sum(n_messages_opened) FILTER (WHERE band <= 1), 0) AS n_messages_opened_30d,
        coalesce(sum(n_messages_opened) FILTER (WHERE band <= 2), 0) AS n_messages_opened_90d,
        coalesce(sum(n_messages_opened) FILTER (WHERE band <= 3), 0) AS n_messages_opened_365d,
        coalesce(sum(n_messages_clicked) FILTER (WHERE band <= 0), 0) AS n_messages_clicked_7d,
        coalesce(sum(n_messages_clicked) FILTER (WHERE band <= 1), 0) AS n_messages_clicked_30d,
        coalesce(sum(n_messages_clicked) FILTER (WHERE band <= 2), 0) AS n_messages_clicked_90d,
        coalesce(sum(n_messages_clicked) FILTER (WHERE band <= 3), 0) AS n_messages_clicked_365d,
        coalesce(sum(n_messages_replied) FILTER (WHERE band <= 0), 0) AS n_messages_replied_7d,
        coalesce(sum(n_messages_replied) FILTER (WHERE band <= 1), 0) AS n_messages_replied_30d,
        coalesce(sum(n_messages_replied) FILTER (WHERE band <= 2), 0) AS n_messages_replied_90d,
        coalesce(sum(n_messages_replied) FILTER (WHERE band <= 3), 0) AS n_messages_replied_365d,
        coalesce(sum(n_refunds) FILTER (WHERE band <= 0), 0) AS n_refunds_7d,
        coalesce(sum(n_refunds) FILTER (WHERE band <= 1), 0) AS n_refunds_30d,
        coalesce(sum(n_refunds) FILTER (WHERE band <= 2), 0) AS n_refunds_90d,
        coalesce(sum(n_refunds) FILTER (WHERE band <= 3), 0) AS n_refunds_365d,
        coalesce(sum(refunded) FILTER (WHERE band <= 0), 0) / 10000 AS refunded_7d,
        coalesce(sum(refunded) FILTER (WHERE band <= 1), 0) / 10000 AS refunded_30d,
        coalesce(sum(refunded) FILTER (WHERE band <= 2), 0) / 10000 AS refunded_90d,
        coalesce(sum(refunded) FILTER (WHERE band <= 3), 0) / 10000 AS refunded_365d,
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
