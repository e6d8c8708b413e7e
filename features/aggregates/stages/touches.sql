-- What each customer did, in each period between two edges of windows: all later counts are sums of these.
SELECT
    customer_key,
    period,
    visible_from,
    visible_until,
    CAST(count(*) FILTER (WHERE event NOT IN ($message_sent, $outcome_measured)) AS INTEGER) AS n_events,
    CAST(count(*) FILTER (WHERE event = $page_view) AS INTEGER) AS n_page_views,
    CAST(count(*) FILTER (WHERE event = $product_view) AS INTEGER) AS n_product_views,
    CAST(count(*) FILTER (WHERE event = $add_to_cart) AS INTEGER) AS n_add_to_carts,
    CAST(count(*) FILTER (WHERE event = $ad_click) AS INTEGER) AS n_ad_clicks,
    CAST(count(*) FILTER (WHERE event = $question_answered) AS INTEGER) AS n_answers,
    CAST(count(*) FILTER (WHERE event = $message_sent AND action_id IS DISTINCT FROM 'nothing') AS INTEGER) AS n_messages_sent,
    CAST(count(*) FILTER (WHERE event = $message_opened) AS INTEGER) AS n_messages_opened,
    CAST(count(*) FILTER (WHERE event = $message_clicked) AS INTEGER) AS n_messages_clicked,
    CAST(count(*) FILTER (WHERE event = $message_replied) AS INTEGER) AS n_messages_replied,
    CAST(count(*) FILTER (WHERE event = $refund) AS INTEGER) AS n_refunds,
    sum(units(total)) FILTER (WHERE event = $refund) AS refunded,
    min(occurred_at) FILTER (WHERE event NOT IN ($message_sent, $outcome_measured)) AS first_event_at,
    max(occurred_at) FILTER (WHERE event NOT IN ($message_sent, $outcome_measured)) AS last_event_at,
    max(occurred_at) FILTER (WHERE event = $refund) AS last_refund_at,
    max(occurred_at) FILTER (WHERE event = $product_view) AS last_product_view_at,
    max(occurred_at) FILTER (WHERE event = $add_to_cart) AS last_cart_at,
    max(occurred_at) FILTER (WHERE event = $ad_click) AS last_ad_click_at,
    max(occurred_at) FILTER (WHERE event = $message_sent AND action_id IS DISTINCT FROM 'nothing') AS last_message_at,
    max(occurred_at) FILTER (WHERE event = $message_clicked) AS last_message_click_at,
    max(occurred_at) FILTER (WHERE event = $question_answered) AS last_answer_at
FROM history
GROUP BY ALL
