-- A feature of the brand's own: how many different products a customer has bought, and how many of these more than once.
--
-- One SELECT over the view `events`, one row a customer: `customer_key` and numeric columns. Each column becomes a
-- feature under its name: offline, online, in training, in explanations and in the catalogue's expressions
-- (n_products_bought >= 3.0). The view holds only what was known before the instant that the features are made for;
-- clocks, files and randomness are refused. `rapport features check sets_bought` tries it.
WITH bought AS (
    SELECT customer_key, UNNEST(products).product_id AS product_id, order_id
    FROM events
    WHERE event = 'Order Completed'
), per_product AS (
    SELECT customer_key, product_id, COUNT(DISTINCT order_id) AS n_times
    FROM bought
    GROUP BY ALL
)
SELECT
    customer_key,
    COUNT(*) AS n_products_bought,
    COUNT(*) FILTER (n_times >= 2) AS n_products_bought_again
FROM per_product
GROUP BY customer_key
