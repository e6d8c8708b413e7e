"""What Rapport itself says of the buyers of a task: its next-purchase head, expected order-days and spend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from training.evaluating.task import Floats, Once, Said, Task
from training.expectations.choosing import expect
from training.expectations.members import Of
from training.expectations.shop import aligned
from training.repeat_buying import DAYS_A_WEEK
from training.split import TooLittleData

if TYPE_CHECKING:
    from training.heads import Head
    from training.short_history import ShortHead

NOTHING = "nothing"


def ours(task: Task) -> Said:
    """Fitted as it would have been on the day of the cutoff; the name says what the trainer made it of."""
    probability, made_of, notes, once, year = _probability(task)
    amounts: dict[Of, Floats | None] = {}
    for of in Of:
        expected = expect(task.shop, horizon_days=task.horizon_days, of=of, seed=task.seed)
        amounts[of] = None if expected is None else expected.values
        chosen = expected and expected.recipe.chosen_on_days
        words = "; chosen on a held-back window of " + f"{chosen} days" if chosen else ""
        notes = (*notes, f"{of.value}: {expected.recipe if expected else 'too little to learn from'}{words}")
    return Said(probability, amounts[Of.ORDERS], amounts[Of.SPEND], notes, f"ours ({made_of})", once, year)


def _probability(task: Task) -> tuple[Floats | None, str, tuple[str, ...], Once | None, tuple[float, ...]]:
    """P(an order), what the head is made of, why, of one order-day, and how the year goes on behind the horizon.

    No probability where there is too little for any head.
    """
    from training.coming import year_of
    from training.evaluating.second_purchase import calibrated_on_its_own
    from training.short_history import ShortHead, best_head

    try:
        head = best_head(task.source, horizon_days=task.horizon_days, used_at=task.cutoff, seed=task.seed)
    except TooLittleData as reason:
        return None, NOTHING, (f"probability: {reason}",), None, ()
    snapshot = task.source.snapshot(task.cutoff)
    said = aligned(task.buyers.keys, snapshot.customer_keys, np.asarray(head.predict(snapshot.X)))
    said, unseen = _of_everybody(task, head, said)
    notes = (*((f"probability: {head.because}",) if head.because else ()), *unseen)
    once = calibrated_on_its_own(task, head)
    if once.probability is not None:
        once = replace(once, probability=np.where(np.isfinite(once.probability), once.probability, said))
    return said, head.shipped, notes, once, () if isinstance(head, ShortHead) else year_of(task.source, head)


def _of_everybody(task: Task, head: Head | ShortHead, said: Floats) -> tuple[Floats, tuple[str, ...]]:
    """One customer whom the snapshot lacks must not cost the others their figures: repeat buying speaks of that one."""
    unseen = ~np.isfinite(said)
    if not unseen.any():
        return said, ()
    fits, history, weeks = task.shop.fits(task.day), task.buyers.history(), task.horizon_days / DAYS_A_WEEK
    if fits:
        instead, by = np.mean([fit.p_any(history, weeks=weeks) for fit in fits.values()], axis=0), "repeat buying"
    else:
        instead, by = head.predict(np.full((1, len(head.inputs)), np.nan, dtype=np.float32)), "the head of nobody known"
    return np.where(unseen, instead, said), (f"probability: of {int(unseen.sum())} customers by {by}",)
