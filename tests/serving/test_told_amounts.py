"""People are told money without the dust of binary fractions, and probabilities as they were drawn from."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.explaining.amounts import adding_up, told_amount, with_told_amounts

DUST, CLEAN = 22.300000000000004, 22.3
THIRD = 1 / 3


def test_an_amount_is_told_to_a_millionth_and_never_as_minus_nothing() -> None:
    assert [told_amount(amount) for amount in (DUST, 0.1 + 0.2, -1e-9)] == [CLEAN, 0.3, 0.0]
    assert str(told_amount(-1e-9)) == "0.0"


def test_every_amount_of_an_explanation_is_told_so_and_no_probability() -> None:
    def explanation(money: float) -> dict[str, object]:
        worth = dict.fromkeys(("informed", "uninformed", "cost", "gain", "value"), money)
        parameters = {"gamma": 100.0, "reward_scale": money}
        slot = {"slot_probability": THIRD, "draw": THIRD, "cost": money, "policy_parameters": parameters}
        return {
            "candidates": [{"value": money, "rate": THIRD, "worth": worth | {"decisions": THIRD}}, {"value": money}],
            "slots": [slot],
            "would_be": [slot],
            "distribution": {"value": THIRD, "cost": 1 - THIRD},
            "policy_parameters": parameters,
            "draw": THIRD,
        }

    exact = explanation(DUST)
    assert with_told_amounts(exact) == explanation(CLEAN)
    assert exact == explanation(DUST)  # what is recorded stays as it is


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=5))
def test_told_parts_add_up_to_the_told_value(amounts: list[float]) -> None:
    told = adding_up([{"name": "a", "amount": amount} for amount in amounts])
    assert sum(Decimal(str(part["amount"])) for part in told) == pytest.approx(
        Decimal(str(told_amount(sum(amounts)))), abs=Decimal("1e-9")
    )
    for part, exact in zip(told, amounts, strict=True):
        assert part["amount"] == pytest.approx(exact, abs=1.1e-6)
