"""The latent kinds of customers: how often they buy, what moves them. Nobody but the simulator knows these numbers."""

from __future__ import annotations

import numpy as np

from features.catalogue import NOTHING

KINDS = ("bargain_hunter", "loyal_refiller", "gift_giver", "explorer", "one_and_done", "window_shopper")
BARGAIN_HUNTER, LOYAL_REFILLER, GIFT_GIVER, EXPLORER, ONE_AND_DONE, WINDOW_SHOPPER = range(len(KINDS))
KIND_SHARES = np.array([0.21, 0.20, 0.13, 0.16, 0.15, 0.15])

# Organic orders a day while the customer is active and the season is 1, before and after the first order.
FIRST_ORDER_RATE = np.array([1 / 75, 1 / 30, 1 / 170, 1 / 50, 1 / 45, 1 / 520])
REPEAT_RATE = np.array([1 / 80, 1 / 42, 1 / 230, 1 / 58, 1 / 300, 1 / 330])
# Mean days until interest is lost: before any order, and after each order.
LAPSE_BEFORE = np.array([170.0, 260.0, 600.0, 170.0, 110.0, 300.0])
LAPSE_AFTER = np.array([280.0, 620.0, 900.0, 250.0, 120.0, 260.0])
LEAVES_AT_ONCE = np.array([0.08, 0.02, 0.03, 0.08, 0.80, 0.30])
FADED = 0.05  # what is left of the organic rate once interest is lost
# How strongly festivals pull (the strongest festival at its peak multiplies the rate by 1 + this).
FESTIVE_PULL = (1.6, 0.25, 7.0, 0.9, 0.7, 0.8)

VISITS_A_DAY = np.array([0.13, 0.09, 0.06, 0.18, 0.12, 0.20])
ANSWERS_WILLINGLY = np.array([0.45, 0.65, 0.40, 0.80, 0.25, 0.50])
RETURN_RATE = np.array([0.07, 0.025, 0.05, 0.09, 0.12, 0.10])
BASKET_LINES = np.array([1.5, 1.8, 2.2, 2.0, 1.3, 1.2])  # mean lines an order
# P(value, mid, premium) of what they really buy.
TIER_SHARES = np.array(
    [
        [0.75, 0.22, 0.03],
        [0.20, 0.55, 0.25],
        [0.10, 0.45, 0.45],
        [0.25, 0.45, 0.30],
        [0.50, 0.40, 0.10],
        [0.45, 0.40, 0.15],
    ]
)

ACTIONS = (
    NOTHING,
    "welcome_hook",
    "skin_quiz",
    "curated_set",
    "first_order_coupon",
    "second_purchase_coupon",
    "loyalty_points",
    "festival_offer",
    "winback_offer",
    "replenish_reminder",
    "bestsellers",
    "chat_help",
)
ACTION_INDEX = {action: index for index, action in enumerate(ACTIONS)}
# Share of the order's value that an offer gives away when it is redeemed.
DISCOUNT = np.array([0.0, 0.0, 0.0, 0.0, 0.15, 0.12, 0.05, 0.12, 0.18, 0.0, 0.0, 0.0])

# Extra orders a day, in units of 1.25 thousandths, right after the action when it fits the moment (see behaviour.fit).
# It fades with EFFECT_DAYS, so one action adds about 3.5 times that in all: 10 means 4.4 points.
PULL = (
    np.array(
        [
            # none welc quiz  cur  1st  2nd  loy fest winb repl best chat
            [0.0, 3.0, 1.5, 1.5, 19.0, 15.0, 4.0, 16.0, 14.0, 0.0, 2.5, 1.0],  # bargain_hunter
            [0.0, 4.0, 2.0, 2.5, 2.5, 2.5, 6.0, 2.0, 4.0, 18.0, 1.0, 0.5],  # loyal_refiller
            [0.0, 2.0, 0.5, 10.0, 4.0, 2.0, 0.5, 24.0, 4.0, 0.0, 5.0, 1.0],  # gift_giver
            [0.0, 5.0, 11.0, 15.0, 4.0, 4.0, 1.5, 4.0, 7.0, 0.5, 3.5, 2.5],  # explorer
            [0.0, 4.0, 2.0, 2.0, 7.0, 9.0, 0.5, 3.5, 6.0, 0.0, 1.5, 1.0],  # one_and_done
            [0.0, 3.0, 7.0, 2.0, 11.0, 3.0, 0.0, 4.0, 2.0, 0.0, 2.0, 6.0],  # window_shopper
        ]
    )
    * 1.25e-3
)
EFFECT_DAYS = 3.0
EFFECT_ENDS_AFTER_DAYS = 20
DO_NOT_DISTURB_SHARE = 0.08
DO_NOT_DISTURB_LIFT = -0.45  # any message scares away this share of their organic orders, at first

LIFE_STAGES = ("student", "working", "new_parent", "settled")
LIFE_STAGE_FACTOR = np.array([0.85, 1.0, 1.25, 1.05])
SKIN_NEEDS = ("dryness", "acne", "dullness", "sensitivity")
INTERESTS = ("skincare", "makeup", "haircare", "fragrance")
PRICE_PREFERENCES = ("value", "mid", "premium")
