"""Gamma-gamma: what an order of a customer is expected to bring."""

from __future__ import annotations

import numpy as np
import pytest

from training.gamma_gamma import GammaGamma, fit_gamma_gamma


def test_the_parameters_that_made_the_data_are_found() -> None:
    rng = np.random.default_rng(7)
    truth = GammaGamma(p=4.0, q=3.5, v=50.0)
    n = rng.integers(1, 12, 6_000).astype(float)
    scale = rng.gamma(truth.q, 1 / truth.v, len(n))
    mean_value = np.array([rng.gamma(truth.p, 1 / of, int(k)).mean() for k, of in zip(n, scale, strict=True)])
    fitted = fit_gamma_gamma(n, mean_value)
    assert fitted.p == pytest.approx(truth.p, rel=0.1)
    assert fitted.q == pytest.approx(truth.q, rel=0.1)
    assert fitted.p * fitted.v / (fitted.q - 1) == pytest.approx(4.0 * 50.0 / 2.5, rel=0.05)


def test_few_orders_are_shrunk_towards_everybodys_mean_and_many_are_believed() -> None:
    model = GammaGamma(p=4.0, q=3.0, v=50.0)
    everybody = 4.0 * 50.0 / (3.0 - 1.0)
    none, one, many = model.expected(np.array([0.0, 1.0, 10_000.0]), np.array([0.0, 300.0, 300.0]))
    assert none == everybody
    assert everybody < one < 300.0
    assert many == pytest.approx(300.0, rel=1e-3)


def test_the_unit_of_money_changes_nothing_but_the_unit() -> None:
    rng = np.random.default_rng(3)
    n, value = rng.integers(1, 6, 500).astype(float), rng.lognormal(3.0, 0.6, 500)
    pounds, pence = fit_gamma_gamma(n, value), fit_gamma_gamma(n, 100.0 * value)
    assert np.allclose(100.0 * pounds.expected(n, value), pence.expected(n, 100.0 * value), rtol=1e-5)


def test_a_shop_without_amounts_is_told_how_many_it_needs() -> None:
    with pytest.raises(ValueError, match=r"0 customers have an order with a value; .* at least 30"):
        fit_gamma_gamma(np.zeros(50), np.zeros(50))
