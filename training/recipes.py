"""What a next-purchase head is made of: the choices that a held-back window makes, and in whose favour ties go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from training.boosting import reproducible
from training.calibration import ISOTONIC, KINDS
from training.members import BESIDE, LINEAR, REPEAT_BUYING, TREES
from training.repeat_buying import BG_NBD, PARETO_NBD, REGULAR_GAPS

EVERY_MEMBER = (TREES, LINEAR, REPEAT_BUYING, BESIDE)  # with a say that is learned; the others have an equal one
MEMBERS = (
    EVERY_MEMBER,
    EVERY_MEMBER[:-1],
    (TREES, LINEAR),
    (LINEAR, REPEAT_BUYING),
    (TREES,),
    (LINEAR,),
    (REPEAT_BUYING,),
)
REPEAT_MODELS = (BG_NBD, PARETO_NBD)
RHYTHMS = (*REPEAT_MODELS, REGULAR_GAPS)
RHYTHMS_BESIDE_PARETO = (BG_NBD, REGULAR_GAPS)
AS_MANY_ORDERS, AS_BUSY, NO_SEASON = "as_many_orders", "as_busy", "none"
AS_IT_IS = "as it is"  # no calibration: repeat buying alone knows its level from the whole history, not one window
SEASONS = (AS_MANY_ORDERS, AS_BUSY, NO_SEASON)
HARM_OF_SEASON = 0.002  # nats: season is given up only where it did harm, for a calm window shows nothing of it
HARM_OF_A_MEMBER = 0.002  # nats: so is a member, or a say that is learned; less is noise on some thousand customers
HARM_OF_BG_NBD = 0.002  # nats: so is BG/NBD for Pareto/NBD or MBG/CNBD-k, which cost a decision more time
ERRORS_OF_HALF = 2.0  # standard errors by which Pareto/NBD as it is must be worse to have no half of the say
FEWEST_FOR_STEPS = 1_000  # customers: of fewer, steps follow noise (Niculescu-Mizil, Caruana 2005, figure 3)
ERRORS_OF_ALONE = 2.0  # standard errors: and by these, too, for a member alone, which leaves out all else
HARM_OF_STEPS = 0.002  # nats: so are steps, which tell a whole crowd of customers one value
HARM_OF_TUNING = 0.002  # nats: trees that were tuned on the very window that chooses flatter themselves there
TUNED = "tuned"
WORDS = {TREES: "trees", LINEAR: "regression", BESIDE: PARETO_NBD}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a fit is made of; chosen on earlier windows."""

    name: str
    num_leaves: int
    rounds: int
    min_data_in_leaf: int
    learning_rate: float = 0.05
    calibration: str = "platt"
    season: str = AS_MANY_ORDERS
    members: tuple[str, ...] = EVERY_MEMBER
    repeat_buying: str = BG_NBD
    weighs: bool = True
    halves: bool = False  # half of the say is Pareto/NBD's at the level of its own

    def parameters(self, *, seed: int, threads: int) -> dict[str, Any]:
        """LightGBM's, such that the same seed and data give the same bytes."""
        return {
            "objective": "binary",
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            **reproducible(seed=seed, threads=threads),
        }

    def variants(self) -> Iterator[Recipe]:
        """The same trees with every choice of members, repeat buying, season and calibration; the fullest first."""
        for members, season, kind in product(MEMBERS, SEASONS, (*KINDS, AS_IT_IS)):
            if kind == AS_IT_IS and members != (REPEAT_BUYING,):
                continue  # the others have no level of their own that could hold of another window
            weighs = members == EVERY_MEMBER
            kinds = RHYTHMS_BESIDE_PARETO if weighs else RHYTHMS if REPEAT_BUYING in members else (BG_NBD,)
            for repeat in kinds:
                made = replace(self, members=members, calibration=kind, season=season, repeat_buying=repeat)
                yield replace(made, weighs=weighs)

    def handicap(self) -> float:
        """How much better, in nats, a window must find it than the fullest recipe: a lucky window is no reason."""
        return (
            HARM_OF_SEASON * (self.season != AS_MANY_ORDERS)
            + HARM_OF_A_MEMBER * (self.members != EVERY_MEMBER)
            + HARM_OF_BG_NBD * (self.repeat_buying != BG_NBD)
            + HARM_OF_STEPS * (self.calibration == ISOTONIC)
            + HARM_OF_TUNING * (self.name == TUNED)
        )


RECIPES = (
    Recipe("shallow", num_leaves=4, rounds=150, min_data_in_leaf=40),
    Recipe("deeper", num_leaves=12, rounds=120, min_data_in_leaf=60),
)
