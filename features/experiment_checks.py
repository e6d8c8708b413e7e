"""What must hold of an experiment and its arms inside `brand.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose

from features.faults import Fault
from features.yaml_file import Location, YamlFile

RESERVED_ARMS = ("holdout", "personalised", "nothing")
_ARMS: Location = ("experiment", "arms")


def experiment_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults of arms that share badly or are named like something else, and of one that runs nowhere."""
    arms = file.value_at(_ARMS)
    if not isinstance(arms, dict):
        return
    for name in arms:
        if name in RESERVED_ARMS:
            rule = f"The ledger already means something by: {', '.join(RESERVED_ARMS)}. Choose another name."
            yield file.fault((*_ARMS, name), "is not free as the name of an arm.", rule)
    shares = [arm.get("share") for arm in arms.values() if isinstance(arm, dict)]
    numbers = [share for share in shares if isinstance(share, int | float) and not isinstance(share, bool)]
    if len(numbers) == len(arms) and not isclose(sum(numbers), 1.0, abs_tol=1e-6):
        rule = "The shares of all arms, of the customers who are not held out, add up to 1."
        yield file.fault(_ARMS, f"has shares that add up to {sum(numbers):g}.", rule)
    yield from _idle_faults(file)


def _idle_faults(file: YamlFile) -> Iterator[Fault]:
    """An experiment that no placement listens to compares a policy with itself."""
    placements = file.value_at(("placements",))
    if not isinstance(placements, dict) or not placements:
        return
    if all(isinstance(placement, dict) and placement.get("policy") is not None for placement in placements.values()):
        rule = "An arm's policy holds in every placement that has no `policy` of its own; leave one of them out."
        yield file.fault(("experiment",), "has no placement to run in.", rule)
