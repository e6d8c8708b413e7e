"""The curve of a shop's buyers as of its cutoff, from what is calibrated and what repeat buying says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.expectations.shop import Shop
from training.served.curve import LONGEST_DAYS, Curve
from training.served.repeat_buying import Rhythm

Floats = NDArray[np.float64]


def rhythm_of(shop: Shop) -> Rhythm | None:
    """What the models of repeat buying say of the buyers; None where none can be fitted."""
    fits = shop.fits(shop.day)
    return Rhythm(tuple(fits.values()), shop.buyers(shop.day).history()) if fits else None


def curve_of(shop: Shop, anchors: Mapping[int, Floats], *, year: Sequence[float] = ()) -> Curve | None:
    """The curve of the buyers; None where no model of repeat buying can be fitted.

    Args:
        shop: known until the cutoff.
        anchors: calibrated P(an order within h) by h in days, each of the buyers, by rising key.
        year: how much busier customers are in each 28 days behind the longest horizon.
    """
    rhythm = rhythm_of(shop)
    return None if rhythm is None or not anchors else Curve(rhythm.p_any, dict(anchors), year)


def still_buying(shop: Shop, curve: Curve) -> Floats | None:
    """P(the customer still buys here), as that curve has it; None where no model of repeat buying can be fitted."""
    rhythm = rhythm_of(shop)
    return None if rhythm is None else curve.still_buying(rhythm.p_any_if_here(LONGEST_DAYS))
