"""The ledger's tables of contacts: what was said to whom, what is reserved, what is left.

A contact is one slot of a decision. It is exposed at once, or, deferred, a reservation: open until it is exposed, or
until its time is over and everything that it took is given back. `latest_at` is the latest instant of a row, so that
one index finds all that may still count, however long ago it was decided, and another whether there are many of one
action.
"""

from __future__ import annotations

from serving.contact import coupons
from serving.next_question import asked

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS contacts (
    decision_id  TEXT NOT NULL,
    slot         INTEGER NOT NULL,  -- of its list, from 0
    customer_key INTEGER NOT NULL,
    action_id    TEXT NOT NULL,
    channel      TEXT NOT NULL,
    tags         TEXT NOT NULL,     -- of the action when it was decided, joined by commas
    initiated_by TEXT NOT NULL,
    decided_at   INTEGER NOT NULL,
    exposed_at   INTEGER,           -- when the customer could see it
    open_until   INTEGER,           -- while it is a reservation
    clicked_at   INTEGER,
    converted_at INTEGER,
    latest_at    INTEGER NOT NULL,  -- of all these instants
    released_why TEXT,              -- failed | unexposed: what it had taken was given back
    is_over_cap  INTEGER NOT NULL DEFAULT 0,  -- exposed after it was released
    charges      TEXT,              -- what it took, as JSON: budget, period, units, millionths of money
    coupon_pool  TEXT,              -- that its code goes back to
    coupon_code  TEXT,
    PRIMARY KEY (decision_id, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contacts_of_customer ON contacts (customer_key, initiated_by, latest_at);
CREATE INDEX IF NOT EXISTS contacts_of_action ON contacts (customer_key, action_id, latest_at, initiated_by);
CREATE INDEX IF NOT EXISTS contacts_clicked ON contacts (customer_key, clicked_at) WHERE clicked_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS contacts_converted ON contacts (customer_key, converted_at) WHERE converted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS contacts_open ON contacts (open_until) WHERE open_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS contacts_of_code ON contacts (coupon_code COLLATE NOCASE) WHERE coupon_code IS NOT NULL;
CREATE TABLE IF NOT EXISTS refusals (
    customer_key INTEGER NOT NULL,
    action_id    TEXT NOT NULL,
    reason       TEXT NOT NULL,     -- not_now | never
    refused_at   INTEGER NOT NULL,
    PRIMARY KEY (customer_key, action_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS carrier_limits (
    customer_key INTEGER NOT NULL,
    channel      TEXT NOT NULL,
    until        INTEGER NOT NULL,
    code         TEXT NOT NULL,     -- the provider's
    PRIMARY KEY (customer_key, channel)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_use (
    budget TEXT NOT NULL,           -- action:ID for an action's own
    period INTEGER NOT NULL,        -- when it began; 0: all time
    units  INTEGER NOT NULL,
    amount INTEGER NOT NULL,        -- millionths of the currency's unit
    PRIMARY KEY (budget, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_holds (   -- of open reservations only
    budget       TEXT NOT NULL,     -- coupons:POOL for a pool of codes
    period       INTEGER NOT NULL,  -- from whose budget it was taken; it goes back there, and nowhere else
    until        INTEGER NOT NULL,
    decision_id  TEXT NOT NULL,
    slot         INTEGER NOT NULL,
    customer_key INTEGER NOT NULL,
    units        INTEGER NOT NULL,
    amount       INTEGER NOT NULL,
    PRIMARY KEY (budget, period, until, decision_id, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS budget_holds_of_customer ON budget_holds (customer_key);
"""
    + coupons.SCHEMA
    + asked.SCHEMA
)
