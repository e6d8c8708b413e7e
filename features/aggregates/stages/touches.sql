-- What each customer did, in each period between two edges of windows: all later counts are sums of these.
SELECT
    customer_key,
    period,
    visible_from,
    visible_until,
    CAST(count_if(event NOT IN ($message_sent, $outcome_measured)) AS INTEGER) AS n_events,
    CAST(count_if(event = $page_view) AS INTEGER) AS n_page_views,
    CAST(count_if(event = $product_view) AS INTEGER) AS n_product_views,
    CAST(count_if(event = $add_to_cart) AS INTEGER) AS n_add_to_carts,
    CAST(count_if(event = $ad_click) AS INTEGER) AS n_ad_clicks,
    CAST(count_if(event = $question_answered) AS INTEGER) AS n_answers,
    CAST(count_if(event = $message_sent AND action_id IS DISTINCT FROM 'nothing') AS INTEGER) AS n_messages_sent,
    CAST(count_if(event = $message_opened) AS INTEGER) AS n_messages_opened,
    CAST(count_if(event = $message_clicked) AS INTEGER) AS n_messages_clicked,
    CAST(count_if(event = $message_replied) AS INTEGER) AS n_messages_replied,
    CAST(count_if(event = $refund) AS INTEGER) AS n_refunds,
    sum(CASE WHEN event = $refund THEN units(total) END) AS refunded,
    min(CASE WHEN event NOT IN ($message_sent, $outcome_measured) THEN occurred_at END) AS first_event_at,
    max(CASE WHEN event NOT IN ($message_sent, $outcome_measured) THEN occurred_at END) AS last_event_at,
    max(CASE WHEN event = $refund THEN occurred_at END) AS last_refund_at,
    max(CASE WHEN event = $product_view THEN occurred_at END) AS last_product_view_at,
    max(CASE WHEN event = $add_to_cart THEN occurred_at END) AS last_cart_at,
    max(CASE WHEN event = $ad_click THEN occurred_at END) AS last_ad_click_at,
    max(CASE WHEN event = $message_sent AND action_id IS DISTINCT FROM 'nothing' THEN occurred_at END) AS last_message_at,
    max(CASE WHEN event = $message_clicked THEN occurred_at END) AS last_message_click_at,
    max(CASE WHEN event = $question_answered THEN occurred_at END) AS last_answer_at
FROM history
GROUP BY ALL
