-- What a customer has done since the first event: orders and the gaps between them, baskets, categories, prices, habits.
WITH done AS (
    SELECT
        customer_key,
        sum(n_events) AS n_events,
        sum(n_product_views) AS n_product_views,
        sum(n_add_to_carts) AS n_add_to_carts,
        sum(n_messages_sent) AS n_messages_sent,
        sum(n_messages_clicked) AS n_messages_clicked,
        sum(n_answers) AS n_answers,
        sum(n_refunds) AS n_refunds,
        coalesce(sum(refunded), 0) / 10000 AS refunded,
        min(first_event_at) AS first_event_at,
        max(last_event_at) AS last_event_at,
        max(last_refund_at) AS last_refund_at,
        coalesce(sum(n_orders), 0) AS n_orders,
        coalesce(sum(revenue), 0) / 10000 AS revenue,
        sum(revenue) / 10000 / nullif(sum(n_amounts), 0) AS mean_order_value,
        max(max_order_value) / 10000 AS max_order_value,
        sum(n_items) / 10000 / nullif(sum(n_baskets), 0) AS basket_size_mean,
        sum(n_lines) / nullif(sum(n_baskets), 0) AS basket_lines_mean,
        min(first_order_at) AS first_order_at,
        max(last_order_at) AS last_order_at,
        min(first_source).source AS first_source,
        max(last_source).source AS last_source
    FROM deeds
    WHERE visible_from <= $i AND $i < visible_until
    GROUP BY ALL
),
seen AS (
    -- The gap before an order: null of the first, 0 of another on the same day.
    SELECT customer_key, day, hour, day - lag(day) OVER (PARTITION BY customer_key ORDER BY day) AS gap
    FROM orders
    WHERE visible_from <= $i AND $i < visible_until
),
habits AS (
    -- Gaps from whole numbers, so that the order in which rows come changes no digit.
    SELECT
        customer_key,
        count_if(gap IS NULL OR gap > 0) AS n_order_days,
        count_if(gap > 0) AS n_gaps,
        sum(gap) / nullif(n_gaps, 0) AS mean_gap_days,
        CASE WHEN n_gaps >= 2 THEN
            sqrt((n_gaps * sum(gap * gap) - sum(gap) * sum(gap)) / (n_gaps * (n_gaps - 1)))
        END AS sd_gap_days,
        count_if(isodow(day) >= 6) / count(*) AS order_share_weekend,
        count_if(hour < 6) / count(*) AS order_share_night,
        count_if(hour >= 6 AND hour < 12) / count(*) AS order_share_morning,
        count_if(hour >= 12 AND hour < 18) / count(*) AS order_share_afternoon,
        count_if(hour >= 18) / count(*) AS order_share_evening,
        [count_if(isodow(day) = 1), count_if(isodow(day) = 2),
         count_if(isodow(day) = 3), count_if(isodow(day) = 4),
         count_if(isodow(day) = 5), count_if(isodow(day) = 6),
         count_if(isodow(day) = 7)] AS by_weekday
    FROM seen
    GROUP BY ALL
),
lines AS (
    SELECT
        customer_key,
        category,
        sum(n_lines) AS n_lines,
        sum(prices) AS prices,
        sum(n_prices) AS n_prices,
        min(price_min) AS price_min,
        max(price_max) AS price_max
    FROM order_lines
    WHERE visible_from <= $i AND $i < visible_until
    GROUP BY ALL
),
ranked AS (
    -- Lines without a category have prices, but neither share nor rank.
    SELECT
        * EXCLUDE (n_lines),
        CASE WHEN category IS NOT NULL THEN n_lines / sum(n_lines) OVER of_kind END AS share,
        CASE WHEN category IS NOT NULL THEN
            row_number() OVER (PARTITION BY customer_key, category IS NULL ORDER BY n_lines DESC, category)
        END AS rank
    FROM lines
    WINDOW of_kind AS (PARTITION BY customer_key, category IS NULL)
),
baskets AS (
    SELECT
        customer_key,
        min(price_min) / 10000 AS price_min,
        sum(prices) / 10000 / nullif(sum(n_prices), 0) AS price_mean,
        max(price_max) / 10000 AS price_max,
        nullif(count(category), 0) AS n_categories,
        sum(CAST(round(-share * ln(share) * 1e9) AS BIGINT)) / 1e9 AS category_entropy,
        max(CASE WHEN rank = 1 THEN share END) AS top_category_share,
        CASE WHEN count(category) > 0 THEN coalesce(max(CASE WHEN rank = 2 THEN share END), 0) END AS second_category_share,
        max(CASE WHEN rank = 1 THEN category END) AS top_category,
        CASE WHEN count(category) > 0 THEN
            '{' || concat_ws(
                ',',
                max(CASE WHEN rank = 1 THEN said END),
                max(CASE WHEN rank = 2 THEN said END),
                max(CASE WHEN rank = 3 THEN said END)
            ) || '}'
        END AS category_shares
    FROM (
        SELECT *, CASE WHEN rank <= 3 THEN CAST(to_json(category) AS VARCHAR) || ':' || round(share, 4) END AS said
        FROM ranked
    )
    GROUP BY ALL
)
SELECT
    done.*,
    coalesce(n_order_days, 0) AS n_order_days,
    habits.* EXCLUDE (customer_key, n_order_days, n_gaps, by_weekday),
    list_position(by_weekday, list_max(by_weekday)) AS usual_order_weekday,
    baskets.* EXCLUDE (customer_key)
FROM done
LEFT JOIN habits USING (customer_key)
LEFT JOIN baskets USING (customer_key)
