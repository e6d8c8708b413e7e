-- When things last happened, and the last campaign touch. Counts and sums over windows come from bands.sql.
SELECT
    customer_key,
    max(greatest(last_product_view_at, last_cart_at, last_ad_click_at, last_message_click_at, last_answer_at))
        AS last_consideration_at,
    max(last_product_view_at) AS last_product_view_at,
    max(last_cart_at) AS last_cart_at,
    max(last_message_at) AS last_message_at,
    max(last_message_click_at) AS last_message_click_at,
    max(last_answer_at) AS last_answer_at,
    max(message).campaign AS last_campaign,
    max(message).action_id AS last_action_id,
    max(message).channel AS last_channel
FROM deeds
WHERE visible_from <= $i AND $i < visible_until
GROUP BY ALL
