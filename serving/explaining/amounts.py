"""Money as people are told it, to a millionth of the currency; the record stays exact, and so do probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DECIMALS = 6
_OF_WORTH = ("informed", "uninformed", "cost", "gain", "value")


def told_amount(amount: float) -> float:
    """An amount without the dust of binary fractions: 22.3 for 22.300000000000004."""
    return round(amount, DECIMALS) + 0.0  # never -0.0


def with_told_amounts(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """A decision's explanation with every amount of it as people are told it.

    Args:
        explanation: what a decision's `as_dict` has and its answer does not.
    """
    told = dict(explanation)
    if "candidates" in told:
        told["candidates"] = [_candidate(one) for one in told["candidates"]]
    for name in ("slots", "would_be"):
        if name in told:
            told[name] = [_rounded(_of_policy(one), "cost") for one in told[name]]
    return _of_policy(told)


def _candidate(one: Mapping[str, Any]) -> dict[str, Any]:
    told = _rounded(one, "value", "reward", "base")
    return told | {"worth": _rounded(told["worth"], *_OF_WORTH)} if "worth" in told else told


def adding_up(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Parts as people are told them, so that they still add up: each is the step from one rounded sum to the next."""
    told, exact, before = [], 0.0, 0.0
    for part in parts:
        exact += part["amount"]
        reached = told_amount(exact)
        told.append({**part, "amount": told_amount(reached - before)})
        before = reached
    return told


def _of_policy(one: Mapping[str, Any]) -> dict[str, Any]:
    """What gaps are divided by is money too: the largest value, where the brand does not say."""
    if "policy_parameters" not in one:
        return dict(one)
    return {**one, "policy_parameters": _rounded(one["policy_parameters"], "reward_scale")}


def _rounded(one: Mapping[str, Any], *names: str) -> dict[str, Any]:
    told = dict(one)
    for name in names:
        if isinstance(amount := told.get(name), float):
            told[name] = told_amount(amount)
    return told
