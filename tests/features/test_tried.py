"""What had no fault is not tried again; what had one is told every time, and another brand asks anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.brand import Brand, load_brand
from features.catalogue import Action, load_catalogue
from features.catalogue_checks import read_catalogue
from features.faults import Fault
from features.starting import write_starter
from features.tried import Trials
from features.variable_names import VariableType
from features.workspace import Workspace

VARIABLES = {"age": VariableType.NUMBER}
FAULT = Fault("here", "is wrong.", "It may not be.")


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


@pytest.fixture
def brand(shop: Workspace) -> Brand:
    return load_brand(shop)


@pytest.fixture
def action(shop: Workspace, brand: Brand, request: pytest.FixtureRequest) -> Action:
    """One that no other test has tried."""
    return load_catalogue(shop, brand).actions[0].model_copy(update={"id": f"of_{request.node.name}"[:60]})


def never() -> Iterator[Fault]:
    return map(_tried, [FAULT])


def _tried(_: Fault) -> Fault:
    raise LookupError("it was tried")


def test_what_had_no_fault_is_not_tried_again(brand: Brand, action: Action) -> None:
    assert Trials(brand, VARIABLES).faults(action, iter([])) == []
    assert Trials(brand, VARIABLES).faults(action, never()) == []


def test_a_fault_is_told_every_time(brand: Brand, action: Action) -> None:
    for _ in range(2):
        assert Trials(brand, VARIABLES).faults(action, iter([FAULT])) == [FAULT]


def test_whatever_it_was_tried_beside_is_asked_about_anew(brand: Brand, action: Action) -> None:
    Trials(brand, VARIABLES).faults(action, iter([]))
    others = [
        (Trials(brand.model_copy(update={"currency": "THB"}), VARIABLES), action),
        (Trials(brand, {"age": VariableType.TEXT}), action),
        (Trials(brand, VARIABLES), action.model_copy(update={"id": "another_one"})),
    ]
    for trials, one in others:
        with pytest.raises(LookupError):
            trials.faults(one, never())


def test_a_text_that_is_broken_after_the_first_look_is_a_fault(shop: Workspace, brand: Brand) -> None:
    assert read_catalogue(shop, brand)[1] == []
    text = shop.catalogue_file.read_text("utf-8")
    word = "pick for {{ need |"
    assert text.count(word) == 1
    shop.catalogue_file.write_text(text.replace(word, "pick for {{ nede |"), "utf-8")
    (fault,) = read_catalogue(shop, brand)[1]
    assert (fault.problem, fault.closest) == ("takes 'nede', which is not a slot.", "need")
    shop.catalogue_file.write_text(text, "utf-8")
    assert read_catalogue(shop, brand)[1] == []
