-- What the customer has told us and not withdrawn, with when; the channels with a consent that stands, and of another
-- purpose than marketing `channel/purpose`; locale, time zone.
WITH consented AS (
    SELECT
        customer_key,
        spoken_for,
        channel,
        purpose,
        max({'said_at': occurred_at, 'known_at': received_at, 'id': event_id, 'is_given': is_given}) AS newest
    FROM consents
    WHERE visible_from <= $i AND $i < visible_until
    GROUP BY ALL
),
refused AS (
    -- What stands withdrawn: as a whole, without a channel, purposes, and since when the brand may not speak at all, by
    -- the key for which that was said; each needs its own consent. On one channel, being written to there for anything.
    SELECT
        customer_key,
        list(purpose) FILTER (WHERE purpose IS NOT NULL) AS withdrawn,
        list({'spoken_for': spoken_for, 'since': newest.said_at, 'about': coalesce(purpose, 'marketing'), 'channel': channel})
            AS silenced
    FROM consented
    WHERE (channel IS NULL OR purpose IS NULL) AND NOT newest.is_given
    GROUP BY ALL
),
by_channel AS (
    SELECT
        customer_key,
        channel,
        about,
        bool_and(newest.is_given) AS is_given,
        list({'spoken_for': spoken_for, 'since': newest.said_at}) AS given
    FROM (
        SELECT customer_key, spoken_for, channel, coalesce(purpose, 'marketing') AS about, max(newest) AS newest
        FROM consented
        WHERE channel IS NOT NULL
        GROUP BY ALL
    )
    GROUP BY ALL
),
channels AS (
    -- Marketing on a channel is given or not by the newest said of it; another purpose falls with its own withdrawal, with
    -- marketing's as a whole, and with that of the channel.
    SELECT
        customer_key,
        '[' || string_agg(
            CAST(to_json(CASE WHEN about = 'marketing' THEN channel ELSE channel || '/' || about END) AS VARCHAR), ','
            ORDER BY channel, about <> 'marketing', about
        ) || ']' AS consents
    FROM by_channel
    LEFT JOIN refused USING (customer_key)
    WHERE is_given AND NOT coalesce(len(list_filter(silenced, lambda no:
        CASE WHEN no.channel IS NULL THEN no.about IN ('marketing', by_channel.about)
             ELSE no.channel = by_channel.channel AND by_channel.about <> 'marketing' END
        AND NOT coalesce(list_bool_or(list_transform(
            given, lambda yes: yes.spoken_for = no.spoken_for AND yes.since > no.since)), false))) > 0, false)
    GROUP BY ALL
),
said AS (
    -- A statement falls with the purpose of its trait, and with the purpose for which it was asked.
    SELECT
        customer_key,
        trait,
        max({'said_at': occurred_at, 'known_at': received_at, 'id': event_id, 'value': value, 'number': number,
             'chosen': chosen}) AS newest
    FROM statements
    LEFT JOIN refused USING (customer_key)
    WHERE visible_from <= $i AND $i < visible_until
        AND NOT coalesce(list_contains(withdrawn, purpose) OR list_contains(withdrawn, asked_for), false)
    GROUP BY ALL
),
standing AS (
    SELECT customer_key, trait, newest.said_at AS said_at, newest.value AS value, newest.number AS number, newest.chosen AS chosen
    FROM said
    WHERE newest.value IS NOT NULL
),
traits_of AS (
    SELECT
        customer_key,
        max(CASE WHEN trait = 'locale' THEN value END) AS locale,
        max(CASE WHEN trait = 'time_zone' THEN value END) AS time_zone
        /* a column a trait */
    FROM standing
    GROUP BY ALL
)
SELECT *
FROM traits_of
FULL JOIN channels USING (customer_key)
