-- What customers said of themselves: answers to questions, the traits of identify calls, locale, time zone. An answer
-- that is no valid value of its trait is no evidence and left out; a null answer withdraws what was said before.
WITH said AS (
    SELECT
        customer_key,
        trait,
        answer,
        CASE WHEN json_valid(properties) THEN json_extract_string(properties, '$.purpose') END AS asked_for,
        occurred_at,
        received_at,
        event_id,
        visible_from,
        visible_until
    FROM history
    WHERE event = $question_answered AND trait IS NOT NULL
    UNION ALL
    SELECT
        customer_key,
        trait,
        json_extract_string(properties, '$."' || trait || '"') AS answer,
        json_extract_string(properties, '$._told.purpose') AS asked_for,
        occurred_at,
        received_at,
        event_id,
        visible_from,
        visible_until
    FROM (
        SELECT *, unnest(json_keys(properties)) AS trait
        FROM (SELECT * EXCLUDE (trait) FROM history WHERE event = 'identify' AND json_valid(properties))
    )
    WHERE trait NOT LIKE '%"%'
),
read AS (
    SELECT
        said.*,
        traits.type,
        traits.purpose,
        CASE traits.type
            WHEN 'choice' THEN nullif(list_position(traits.choices, answer), 0) - 1
            WHEN 'number' THEN TRY_CAST(answer AS DOUBLE)
            WHEN 'date' THEN date_diff('day', DATE '1970-01-01', TRY_CAST(answer AS DATE))
            WHEN 'boolean' THEN CASE lower(answer) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END
        END AS number,
        CASE WHEN traits.type = 'choices' THEN
            list_filter(
                traits.choices,
                lambda choice: list_contains(coalesce(TRY_CAST(TRY_CAST(answer AS JSON) AS VARCHAR[]), [answer]), choice)
            )
        END AS chosen
    FROM said
    JOIN traits USING (trait)
)
SELECT
    customer_key,
    trait,
    type,
    purpose,
    CASE WHEN type <> 'text' THEN asked_for END AS asked_for, -- whoever asked; locale and time zone are for everything
    CASE WHEN isfinite(number) THEN number END AS number,
    chosen,
    CASE
        WHEN answer IS NULL THEN NULL
        WHEN type = 'choices' THEN CAST(to_json(chosen) AS VARCHAR)
        WHEN type = 'number' THEN CAST(to_json(number) AS VARCHAR)
        WHEN type = 'boolean' THEN lower(answer)
        WHEN type = 'date' THEN CAST(to_json(CAST(TRY_CAST(answer AS DATE) AS VARCHAR)) AS VARCHAR)
        WHEN type = 'choice' THEN CAST(to_json(answer) AS VARCHAR)
        ELSE answer -- locale and time zone, not for JSON
    END AS value,
    occurred_at,
    received_at,
    event_id,
    visible_from,
    visible_until
FROM read
WHERE answer IS NULL OR isfinite(number) OR len(chosen) > 0 OR type = 'text'
