"""A brand with two offers and a greeting, and customers whose features are set by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from features.brand import Brand, Channel, Goal, Placement, Policy, Trait, Voice
from features.catalogue import Action, Catalogue, Incentive, Rendering, Slot, Template
from features.derive import MISSING_INSTANT
from features.packing import CustomerState
from features.schema import FeatureSchema

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Stands still until it is told otherwise."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)


def a_brand(**changes: object) -> Brand:
    brand = Brand(
        name="Tiny",
        time_zone="UTC",
        currency="EUR",
        default_locale="en",
        locales={"en": Voice(name="English"), "hi": Voice(name="Hindi")},
        traits={
            "need": Trait(kind="need", type="choice", choices=("dry", "oily")),
            "likes": Trait(kind="interest", type="choices", choices=("soap", "scent")),
            "born": Trait(kind="fact", type="date"),
            "income": Trait(kind="fact", type="number"),
        },
        goals={"order": Goal(event="Order Completed", value="total"), "join": Goal(event="Joined")},
        horizons_days=(7, 30, 90),
        holdout_rate=0.0,
        channels={
            "web": Channel(kind="web", consent="session", body_limit=500, buttons_limit=3),
            "mail": Channel(kind="email", consent="required", body_limit=500, price=0.5),
            "chat": Channel(
                kind="chat", consent="session", body_limit=500, buttons_limit=3, session_window_hours=24, price=1.0
            ),
        },
        placements={
            "reply": Placement(
                initiated_by="customer", channels=("web", "chat", "mail"), baseline="tip", fallback="tip"
            ),
            "weekly": Placement(initiated_by="brand", channels=("mail", "chat"), baseline="tip", fallback="tip"),
        },
        policy=Policy(name="greedy"),
    )
    return brand.model_copy(update=changes)


def an_action(action_id: str, **changes: object) -> Action:
    action = Action(
        id=action_id,
        kind="message",
        stage="awareness",
        goal="order",
        channels=("web", "mail", "chat"),
        placements=("reply", "weekly"),
        value=100.0,
        expected_rate=0.1,
        renderings={"en": Rendering(body=f"This is the {action_id}.")},
    )
    return action.model_copy(update=changes)


TIP = an_action("tip")
COUPON = an_action("coupon", kind="offer", expected_rate=0.2, incentive=Incentive(kind="amount", value=30.0, cost=30.0))
PERSONAL = an_action(
    "personal",
    slots={"need": Slot(expression="need")},
    renderings={"en": Rendering(body="For your {{ need }} skin.")},
    templates={"en": Template(name="personal_1", language="en", category="marketing")},
)


def a_catalogue(*actions: Action) -> Catalogue:
    return Catalogue(actions=actions or (TIP, COUPON))


def a_state(
    schema: FeatureSchema, *, days_old: float = 0.0, consents: tuple[str, ...] = (), **known: float
) -> CustomerState:
    vector = np.full(len(schema.numeric), np.nan, dtype=np.float32)
    for name, value in known.items():
        vector[schema.numeric.index(name)] = value
    return CustomerState(
        vector=vector,
        instants=np.full(len(schema.instants), MISSING_INSTANT, dtype=np.int64),
        declared={},
        consents=consents,
        locale=None,
        time_zone=None,
        as_of=NOON - timedelta(days=days_old),
        log_seq=0,
        categories={},
    )
