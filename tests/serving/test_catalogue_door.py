"""The door to brand.yaml and catalogue.yaml: swapped whole, and a broken file changes nothing but what is told."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from features.faults import InvalidFile
from features.starting import write_starter
from features.versions import CheckedFiles, kept_catalogue, sha256_of
from features.workspace import Workspace
from serving.catalogue_door import FOLLOWED, SETTLED_SECONDS, CatalogueDoor


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


def a_door(workspace: Workspace, *, falls_back: bool = False) -> CatalogueDoor[CheckedFiles]:
    return CatalogueDoor(workspace, make=lambda files: files, falls_back=falls_back)


def settle(door: CatalogueDoor[CheckedFiles]) -> bool:
    """Looks, waits until the files have stood still, and looks again."""
    door.refresh()
    time.sleep(SETTLED_SECONDS + 0.05)
    return door.refresh()


def rewrite(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_a_changed_catalogue_is_taken_over_whole_and_kept(shop: Workspace) -> None:
    door = a_door(shop)
    before = door.files.versions["catalogue"]
    rewrite(shop.catalogue_file, "expected_rate: 0.06", "expected_rate: 0.09")
    assert settle(door)
    now = door.files.versions["catalogue"]
    assert now == sha256_of(shop.catalogue_file.read_bytes()) != before
    assert door.stock.catalogue.action("welcome_hook").expected_rate == 0.09
    assert kept_catalogue(shop, now).action("welcome_hook").expected_rate == 0.09
    assert kept_catalogue(shop, before).action("welcome_hook").expected_rate == 0.06
    assert door.refusals == ()


def test_a_file_is_not_read_while_it_is_being_written(shop: Workspace) -> None:
    door = a_door(shop)
    whole = shop.catalogue_file.read_text(encoding="utf-8")
    half = whole[: whole.index("  - id: skin_quiz")]
    shop.catalogue_file.write_text(half, encoding="utf-8")  # sound in itself, and not what was meant
    assert not door.refresh()
    assert door.is_waiting
    shop.catalogue_file.write_text(whole.replace("value: 40", "value: 41"), encoding="utf-8")
    assert settle(door)
    assert len(door.stock.catalogue.actions) > 1


def test_a_file_written_as_it_was_is_no_change(shop: Workspace) -> None:
    door = a_door(shop)
    shop.catalogue_file.write_bytes(shop.catalogue_file.read_bytes())
    assert not settle(door)
    assert not door.is_waiting


def test_a_broken_catalogue_keeps_the_last_good_one_and_says_so(
    shop: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    door = a_door(shop)
    before = door.files
    rewrite(shop.catalogue_file, "goal: subscribe", "goal: subscribed")
    with caplog.at_level(logging.WARNING):
        assert not settle(door)
    assert door.files is before
    (told,) = door.as_dict()["refused"]
    assert told["file"] == "catalogue.yaml"
    assert told["faults"][0]["closest"] == "subscribe"
    assert "the last good version stays in use" in caplog.text
    assert "subscribed" in caplog.text


def test_a_mended_catalogue_ends_the_refusal(shop: Workspace) -> None:
    door = a_door(shop)
    good = shop.catalogue_file.read_text(encoding="utf-8")
    shop.catalogue_file.write_text("actions: [", encoding="utf-8")
    settle(door)
    assert door.refusals
    shop.catalogue_file.write_text(good, encoding="utf-8")
    assert not settle(door)  # what is in use has not changed
    assert door.refusals == ()


def test_a_catalogue_that_vanishes_leaves_the_one_in_use(shop: Workspace) -> None:
    door = a_door(shop)
    shop.catalogue_file.unlink()
    assert not settle(door)
    assert "catalogue.yaml" in door.refusals[0].problem
    assert len(door.stock.catalogue.actions) > 1


def test_a_change_of_the_brand_that_can_be_followed_is(shop: Workspace) -> None:
    door = a_door(shop)
    rewrite(shop.brand_file, "body_limit: 1024", "body_limit: 1000")
    assert settle(door)
    assert door.stock.brand.channels["whatsapp"].body_limit == 1000
    assert door.refusals == ()


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("time_zone: Asia/Kolkata", "time_zone: Asia/Bangkok", "time_zone"),
        ("holdout_rate: 0.1", "holdout_rate: 0.2", "holdout_rate"),
    ],
)
def test_a_change_of_the_brand_that_needs_a_restart_is_told_and_the_catalogue_goes_on(
    shop: Workspace, before: str, after: str, key: str
) -> None:
    door = a_door(shop)
    rewrite(shop.brand_file, before, after)
    rewrite(shop.catalogue_file, "expected_rate: 0.06", "expected_rate: 0.09")
    assert settle(door)
    (refusal,) = door.refusals
    assert f"changes {key}, which" in refusal.problem
    assert "Restart" in refusal.problem
    assert getattr(door.stock.brand, key) != after
    assert door.stock.catalogue.action("welcome_hook").expected_rate == 0.09


def test_a_broken_brand_keeps_the_last_good_one_and_the_catalogue_goes_on(shop: Workspace) -> None:
    door = a_door(shop)
    brand = door.files.brand_bytes
    rewrite(shop.brand_file, "currency: INR", "currency: RUPEES")
    rewrite(shop.catalogue_file, "expected_rate: 0.06", "expected_rate: 0.09")
    assert settle(door)
    assert door.files.brand_bytes == brand
    assert [refusal.path for refusal in door.refusals] == [shop.brand_file]


def test_a_brand_that_the_catalogue_does_not_fit_changes_nothing(shop: Workspace) -> None:
    door = a_door(shop)
    before = door.files
    rewrite(shop.brand_file, "body_limit: 1024", "body_limit: 10")
    assert not settle(door)
    assert door.files is before
    assert "over" in door.refusals[0].problem or "at most" in door.refusals[0].problem


def test_what_cannot_be_made_of_sound_files_leaves_what_was(shop: Workspace) -> None:
    made: list[CheckedFiles] = []

    def make(files: CheckedFiles) -> CheckedFiles:
        if made:
            raise RuntimeError("no room on the shelf")
        made.append(files)
        return files

    door = CatalogueDoor(shop, make=make)
    rewrite(shop.catalogue_file, "value: 40", "value: 41")
    assert not settle(door)
    assert door.stock is made[0]
    assert "no room on the shelf" in door.refusals[0].problem


def test_at_the_start_a_broken_file_stops_whoever_is_not_told_to_fall_back(shop: Workspace) -> None:
    a_door(shop)
    rewrite(shop.catalogue_file, "goal: subscribe", "goal: subscribed")
    with pytest.raises(InvalidFile):
        a_door(shop)


def test_a_worker_that_starts_again_falls_back_to_the_versions_last_in_use(shop: Workspace) -> None:
    versions = a_door(shop).files.versions
    rewrite(shop.catalogue_file, "goal: subscribe", "goal: subscribed")
    again = a_door(shop, falls_back=True)
    assert again.files.versions == versions
    assert again.refusals
    rewrite(shop.catalogue_file, "goal: subscribed", "goal: subscribe")
    settle(again)
    assert again.refusals == ()


def test_falling_back_needs_something_to_fall_back_to(shop: Workspace) -> None:
    rewrite(shop.catalogue_file, "goal: subscribe", "goal: subscribed")
    with pytest.raises(InvalidFile):
        a_door(shop, falls_back=True)


def test_the_watcher_takes_a_change_over_by_itself(shop: Workspace) -> None:
    door = a_door(shop)
    door.watch(every_seconds=0.02)
    try:
        rewrite(shop.catalogue_file, "value: 40", "value: 41")
        until = time.monotonic() + 10
        while door.stock.catalogue.action("welcome_hook").value != 41 and time.monotonic() < until:
            time.sleep(0.02)
        assert door.stock.catalogue.action("welcome_hook").value == 41
    finally:
        door.close()


def test_every_followed_key_is_a_key_of_the_brand(shop: Workspace) -> None:
    assert set(type(a_door(shop).files.brand).model_fields) > FOLLOWED
