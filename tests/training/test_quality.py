"""Figures of probabilities that nothing tells apart."""

from __future__ import annotations

import numpy as np

from training.evaluation import quality


def test_one_number_for_everybody_has_no_slope() -> None:
    y = np.array([0, 1, 1, 0, 1], dtype=np.uint8)
    told = quality(y, np.full(5, 0.6)).as_dict()
    assert "calibration_slope" not in told
    assert told["auc"] == 0.5
    assert "calibration_slope" in quality(y, np.array([0.4, 0.6, 0.7, 0.5, 0.8])).as_dict()
