-- What each customer's orders held, by category.
SELECT
    customer_key,
    visible_from,
    visible_until,
    line.category AS category,
    CAST(count(*) AS INTEGER) AS n_lines,
    sum(units(line.price)) AS prices,
    CAST(count(units(line.price)) AS INTEGER) AS n_prices,
    min(units(line.price)) AS price_min,
    max(units(line.price)) AS price_max
FROM (SELECT customer_key, visible_from, visible_until, unnest(products) AS line FROM orders)
GROUP BY ALL
