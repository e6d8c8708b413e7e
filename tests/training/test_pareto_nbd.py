"""Pareto/NBD beside integrals worked out by brute force, and beside customers whose parameters were chosen by us."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import hyp2f1

from training import pareto_nbd
from training.pareto_nbd import ParetoNbd, fit_pareto_nbd
from training.repeat_buying import History

TRUTH = ParetoNbd(r=0.9, alpha=7.0, s=0.7, beta=12.0)
LONG = 520.0


def one(x: float, t_x: float, T: float) -> History:
    return History(*(np.array([value]) for value in (x, t_x, T)))


def simulated(truth: ParetoNbd, *, n: int, weeks: float, later: float) -> tuple[History, np.ndarray, np.ndarray]:
    """Histories up to a cut, and how many purchases each made and whether they were alive after it."""
    rng = np.random.default_rng(11)
    age = rng.uniform(weeks / 2, weeks, n)
    rates, stays = rng.gamma(truth.r, 1 / truth.alpha, n), rng.exponential(1 / rng.gamma(truth.s, 1 / truth.beta, n))
    bought = [
        np.sort(rng.uniform(0, end, rng.poisson(rate * end)))
        for rate, end in zip(rates, np.minimum(stays, age + later), strict=True)
    ]
    before = [times[times < T] for times, T in zip(bought, age, strict=True)]
    history = History(
        np.array([float(len(times)) for times in before]),
        np.array([times[-1] if len(times) else 0.0 for times in before]),
        age,
    )
    after = np.array([len(times) for times in bought]) - history.x
    return history, after, stays > age


def by_brute_force(fitted: ParetoNbd, history: History) -> tuple[float, float]:
    """P(alive) and the likelihood without its constant, from the integral over the moment of leaving."""
    x, t_x, T = (float(value[0]) for value in (history.x, history.t_x, history.T))
    r, alpha, s, beta = fitted.r, fitted.alpha, fitted.s, fitted.beta
    alive = (alpha + T) ** -(r + x) * (beta + T) ** -s
    left = quad(lambda t: (alpha + t) ** -(r + x) * s * (beta + t) ** -(s + 1), t_x, T, epsabs=0, epsrel=1e-11)[0]
    return alive / (alive + left), alive + left


@pytest.mark.parametrize("fitted", [TRUTH, ParetoNbd(0.9, 12.0, 0.7, 7.0), ParetoNbd(2.0, 5.0, 1.0, 5.0)])
@pytest.mark.parametrize("history", [(0, 0, 30), (1, 2, 30), (4, 29, 30), (12, 3, 8)])
def test_the_closed_form_is_the_integral_over_the_moment_of_leaving(
    fitted: ParetoNbd, history: tuple[float, float, float]
) -> None:
    alive, either = by_brute_force(fitted, one(*history))
    assert fitted.p_alive(one(*history))[0] == pytest.approx(alive, rel=1e-9)
    without = ParetoNbd(fitted.r, fitted.alpha, fitted.s, fitted.beta).log_likelihood(one(*history))[0]
    gammas = np.sum(np.log(fitted.r + np.arange(history[0])))  # Γ(r + x) ÷ Γ(r)
    constant = fitted.r * np.log(fitted.alpha) + fitted.s * np.log(fitted.beta)
    assert without == pytest.approx(gammas + constant + np.log(either), rel=1e-9)


def test_buying_within_weeks_is_the_integral_over_the_first_purchase() -> None:
    history, weeks = one(3, 20, 26), 13.0
    r, alpha, beta = TRUTH.r + 3, TRUTH.alpha + 26, TRUTH.beta + 26

    def first_at(t: float) -> float:
        return float(r * alpha**r / (alpha + t) ** (r + 1) * (beta / (beta + t)) ** TRUTH.s)

    expected = TRUTH.p_alive(history)[0] * quad(first_at, 0, weeks)[0]
    assert TRUTH.p_any(history, weeks=weeks)[0] == pytest.approx(expected, rel=1e-9)


def test_expected_purchases_are_the_rate_while_alive() -> None:
    history, weeks = one(3, 20, 26), 13.0
    for s in (0.7, 1.0, 1.0 + 1e-10, 2.5):
        fitted = ParetoNbd(TRUTH.r, TRUTH.alpha, s, TRUTH.beta)
        beta = fitted.beta + 26
        still = quad(lambda t, beta=beta, s=s: (beta / (beta + t)) ** s, 0, weeks)[0]
        expected = fitted.p_alive(history)[0] * (fitted.r + 3) / (fitted.alpha + 26) * still
        assert fitted.expected(history, weeks=weeks)[0] == pytest.approx(expected, rel=1e-8)


def test_the_fit_finds_the_parameters_that_made_the_customers() -> None:
    history, after, alive = simulated(TRUTH, n=6_000, weeks=80, later=26)
    fitted = fit_pareto_nbd(history)
    assert fitted.log_likelihood(history).sum() >= TRUTH.log_likelihood(history).sum()
    assert fitted.r == pytest.approx(TRUTH.r, rel=0.15)
    assert fitted.r / fitted.alpha == pytest.approx(TRUTH.r / TRUTH.alpha, rel=0.1)
    assert fitted.s / fitted.beta == pytest.approx(TRUTH.s / TRUTH.beta, rel=0.25)
    assert fitted.p_alive(history).mean() == pytest.approx(alive.mean(), abs=0.03)
    assert fitted.expected(history, weeks=26).mean() == pytest.approx(after.mean(), rel=0.06)
    assert fitted.p_any(history, weeks=26).mean() == pytest.approx((after > 0).mean(), abs=0.02)
    silent = history.x == 0  # who bought once may be gone, which BG/NBD does not say
    assert fitted.p_alive(history)[silent].mean() == pytest.approx(alive[silent].mean(), abs=0.04)


def test_the_same_customers_give_the_same_parameters() -> None:
    history, _, _ = simulated(TRUTH, n=400, weeks=60, later=1)
    assert fit_pareto_nbd(history) == fit_pareto_nbd(history)


@given(
    parameters=st.tuples(*[st.floats(0.01, 300)] * 4),
    x=st.integers(0, 2_000),
    ages=st.tuples(st.floats(0.15, LONG), st.floats(0, 1)),
    weeks=st.tuples(st.floats(0.15, 60), st.floats(0, 60)),
)
def test_whatever_the_customer_probabilities_are_finite_and_longer_is_likelier(
    parameters: tuple[float, float, float, float],
    x: int,
    ages: tuple[float, float],
    weeks: tuple[float, float],
) -> None:
    fitted = ParetoNbd(*parameters)
    history = one(float(x), ages[0] * ages[1] if x else 0.0, ages[0])
    alive = fitted.p_alive(history)[0]
    short, long = (fitted.p_any(history, weeks=within)[0] for within in (weeks[0], sum(weeks)))
    assert np.isfinite(fitted.log_likelihood(history)[0])
    assert 0 <= short <= long + 1e-9 <= alive + 2e-9 <= 1 + 2e-9
    expected = fitted.expected(history, weeks=weeks[0])[0]
    assert expected >= short - 1e-9  # at least one purchase where there is any


def test_a_longer_silence_is_never_a_better_sign() -> None:
    silences = np.linspace(0.0, 60.0, 50)
    history = History(np.full(50, 5.0), 60.0 - silences, np.full(50, 60.0))
    assert (np.diff(TRUTH.p_alive(history)) < 0).all()
    assert (np.diff(TRUTH.p_any(history, weeks=13)) < 0).all()


@pytest.mark.parametrize("fitted", [TRUTH, ParetoNbd(0.2, 30.0, 3.0, 2.0), ParetoNbd(5.0, 1.0, 0.05, 400.0)])
def test_the_slope_of_the_likelihood_is_what_differences_say(fitted: ParetoNbd) -> None:
    history, _, _ = simulated(TRUTH, n=200, weeks=60, later=1)
    at, share = np.log([fitted.r, fitted.alpha, fitted.s, fitted.beta]), np.full(200, 1 / 200)
    _, slope = pareto_nbd._negative_log_likelihood(at, history, share)
    for i, step in enumerate(1e-5 * np.eye(4)):
        up, down = (pareto_nbd._negative_log_likelihood(at + way * step, history, share)[0] for way in (1, -1))
        assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-6)


def by_euler(b: float, rest: float, gap: float) -> float:
    """The mean of 1 ÷ (gap + (1 − gap) V) over V ~ Beta(rest, b), in the logarithm of V."""
    peak = np.log(rest / (b + rest))

    def weight(w: float) -> float:
        return float(np.exp(rest * (w - peak) + (b - 1) * (np.log1p(-np.exp(w)) - np.log1p(-np.exp(peak)))))

    def over(value: Callable[[float], float]) -> float:
        return float(quad(value, -60, -1e-9, points=[peak, np.log(gap)], limit=400, epsabs=0)[0])

    return over(lambda w: weight(w) / (gap + (1 - gap) * np.exp(w))) / over(weight)


def test_where_scipy_gives_up_the_integral_takes_over() -> None:
    b, rest, gap = np.array([200.0, 700.0, 2_500.0]), np.array([1.01, 4.0, 20.0]), np.array([1e-3, 1e-6, 1e-5])
    assert np.isnan(hyp2f1(1.0, b, b + rest, 1 - gap)).any()
    found = pareto_nbd._hyp2f1_of_one(b, b + rest, 1 - gap)
    assert found == pytest.approx([by_euler(*each) for each in zip(b, rest, gap, strict=True)], rel=1e-8)
    small = (np.array([3.0, 160.0]), np.array([1.2, 5.0]), np.array([0.2, 0.05]))
    assert pareto_nbd._mean_of_inverse(*small) == pytest.approx(hyp2f1(1, small[0], sum(small[:2]), 1 - small[2]))


def test_customers_who_share_a_history_are_told_what_each_is_told_alone() -> None:
    """Of many customers every history is worked out once: the same bits."""
    rng = np.random.default_rng(8)
    x, T = rng.integers(0, 4, 900).astype(float), rng.integers(1, 30, 900) / 7
    history = History(x, np.where(x > 0, T / 2, 0.0), T)
    T[3] = np.nan
    some = History(history.x[:300], history.t_x[:300], history.T[:300])
    weeks = np.array([[1.0], [13.0]])
    with np.errstate(invalid="ignore"):  # of the one who never bought
        np.testing.assert_array_equal(TRUTH.p_alive(history)[:300], TRUTH.p_alive(some))
        np.testing.assert_array_equal(TRUTH.p_any(history, weeks=weeks)[:, :300], TRUTH.p_any(some, weeks=weeks))
