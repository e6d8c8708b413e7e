from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.brand import Brand
from training.artifact import SEGMENTS, SegmentsModel, load_model, write_artifact
from training.segment_discovery import align, discover, nearest
from training.segment_names import keep_names, language_of
from training.segment_space import Space
from training.segments import TrainedSegments, hide_behaviour, train_segments
from training.split import TooLittleData


def a_brand() -> Brand:
    return Brand.model_validate_json(
        """{"name": "Tiny", "time_zone": "Asia/Kolkata", "currency": "INR", "default_locale": "en",
        "locales": {"en": {"name": "Tiny"}, "hi": {"name": "Tiny"}, "th": {"name": "Tiny"}, "de": {"name": "Tiny"}},
        "traits": {"skin_need": {"kind": "need", "type": "choice", "choices": ["dryness", "acne", "dullness"],
                                 "labels": {"dryness": {"en": "Dry skin", "hi": "रूखी त्वचा"}}}},
        "goals": {"order": {"event": "Order Completed"}},
        "channels": {"web": {"kind": "web", "consent": "session", "body_limit": 500}},
        "placements": {"banner":
            {"initiated_by": "customer", "channels": ["web"], "baseline": "b", "fallback": "b"}}}"""
    )


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., Any]) -> Any:
    return tiny_world(n_customers=600, days=150)


@pytest.fixture(scope="module")
def trained(world: Any) -> TrainedSegments:
    return train_segments(world, brand=a_brand())


@pytest.fixture(scope="module")
def model(trained: TrainedSegments, world: Any, tmp_path_factory: pytest.TempPathFactory) -> SegmentsModel:
    folder: Path = tmp_path_factory.mktemp("artifacts")
    version = write_artifact(folder, trained.description, trained.boosters)
    schema = SimpleNamespace(model_inputs=world.inputs, categories=world.categories, version="tiny")
    loaded = load_model(folder, SEGMENTS, version, schema=schema)
    assert isinstance(loaded, SegmentsModel)
    return loaded


def test_keen_and_rare_customers_fall_into_different_segments(model: SegmentsModel, world: Any) -> None:
    assigned = np.array(model.assign(world.snapshot(world.known_until).X))
    right = 0
    for segment in set(assigned):
        keen = world.keen[assigned == segment]
        right += max(keen.sum(), (~keen).sum())
    assert right / len(assigned) > 0.9


def test_the_assigner_agrees_with_what_was_discovered(trained: TrainedSegments) -> None:
    assert trained.judged.accuracy > 0.85
    assert trained.judged.log_loss < trained.judged.log_loss_of_constant - 0.2


def test_what_is_served_is_what_was_calibrated_and_judged(
    trained: TrainedSegments, model: SegmentsModel, world: Any
) -> None:
    space = Space.from_list(trained.description["space"])
    centres = np.array([segment["centre"] for segment in trained.description["segments"]])
    today = world.snapshot(world.known_until).X
    right = np.array([model.segment_ids.index(said) for said in model.assign(today)]) == nearest(
        space.place(today, inputs=world.inputs), centres
    )
    assert right.mean() == pytest.approx(trained.judged.accuracy)


def test_a_customer_who_only_declared_something_gets_a_segment_by_it(model: SegmentsModel, world: Any) -> None:
    X = np.full((2, len(world.inputs)), np.nan, dtype=np.float32)
    X[:, world.inputs.index("trait_skin_need")] = (0.0, 1.0)
    X[:, world.inputs.index("trait_skin_need_age_days")] = 1.0
    probabilities = model.predict(X)
    assert probabilities.sum(axis=1) == pytest.approx(1.0)
    assert np.abs(probabilities[0] - probabilities[1]).max() > 0.1


def test_every_segment_has_a_name_of_its_own_in_every_locale(trained: TrainedSegments) -> None:
    for locale in ("en", "hi", "th", "de"):
        names = [segment["names"][locale] for segment in trained.description["segments"]]
        assert len(set(names)) == len(names)
        assert all(names)
        assert all(segment["descriptions"][locale] for segment in trained.description["segments"])


def test_a_locale_without_words_of_ours_speaks_english_and_latin_hindi_is_not_devanagari() -> None:
    assert [language_of(locale) for locale in ("hi", "hi-IN", "hi-Latn", "hi-Latn-IN", "th-TH", "de")] == [
        "hi",
        "hi",
        "en",
        "en",
        "th",
        "en",
    ]


def test_no_segment_is_smaller_than_two_in_a_hundred(trained: TrainedSegments) -> None:
    shares = [segment["share"] for segment in trained.description["segments"]]
    assert 3 <= len(shares) <= 8
    assert min(shares) >= 0.02
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)


def test_a_later_version_keeps_ids_and_names_of_segments_that_are_still_the_same(
    trained: TrainedSegments, tiny_world: Callable[..., Any]
) -> None:
    later = tiny_world(n_customers=600, days=150, seed=6)
    again = train_segments(later, brand=a_brand(), previous=trained.description)
    old = {segment["id"]: segment["names"] for segment in trained.description["segments"]}
    new = {segment["id"]: segment["names"] for segment in again.description["segments"]}
    kept = set(old) & set(new)
    assert kept
    assert all(old[name] == new[name] for name in kept)


def test_a_new_segment_does_not_take_the_name_that_another_kept() -> None:
    named = [{"en": "Regulars", "th": "ประจำ"}, {"en": "Regulars", "th": "ใหม่"}, {"en": "Quiet", "th": "เงียบ"}]
    kept: list[dict[str, str]] = [{}, {"en": "Quiet"}, {"en": "Regulars", "th": "ประจำ"}]
    assert keep_names(named, kept=kept, locales=["en", "th"]) == [
        {"en": "Regulars 2", "th": "ประจำ 2"},
        {"en": "Quiet", "th": "ใหม่"},
        {"en": "Regulars", "th": "ประจำ"},
    ]


def test_the_same_seed_and_data_give_the_same_bytes_also_beside_a_champion(
    trained: TrainedSegments, world: Any
) -> None:
    again = train_segments(world, brand=a_brand(), previous=trained.description)
    assert again.boosters == trained.boosters
    assert again.description == trained.description


def test_centres_that_merely_change_places_keep_their_ids() -> None:
    old = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    new = np.array([[0.1, 9.9], [0.2, 0.0], [10.0, 0.3]])
    assert align(new, previous=old, previous_ids=["s1", "s2", "s3"])[0] == ["s3", "s1", "s2"]


def test_a_group_that_is_nowhere_near_an_old_one_gets_a_new_id() -> None:
    old = np.array([[0.0, 0.0], [1.0, 0.0]])
    ids, continued = align(np.array([[50.0, 50.0], [0.0, 0.0]]), previous=old, previous_ids=["s1", "s2"])
    assert ids == ["s3", "s1"]
    assert continued == [None, "s1"]


def test_three_heaps_are_found_as_three_groups() -> None:
    rng = np.random.default_rng(0)
    heaps = np.vstack([rng.normal(centre, 0.1, size=(100, 2)) for centre in ((0, 0), (3, 0), (0, 3))])
    assert len(discover(heaps, seed=0).centres) == 3


def test_hiding_behaviour_leaves_what_was_declared() -> None:
    X = np.array([[5.0, 2.0, 1.0]], dtype=np.float32)
    like = np.array([[5.0, np.nan, 1.0]], dtype=np.float32)
    inputs = ("n_orders", "days_since_last_order", "trait_skin_need")
    unknown = hide_behaviour(X, inputs=inputs, like=like, as_newcomers=np.array([False]))
    newcomer = hide_behaviour(X, inputs=inputs, like=like, as_newcomers=np.array([True]))
    assert np.array_equal(unknown, [[np.nan, np.nan, 1.0]], equal_nan=True)
    assert np.array_equal(newcomer, [[0.0, np.nan, 1.0]], equal_nan=True)


def test_too_few_customers_are_refused(tiny_world: Callable[..., Any]) -> None:
    with pytest.raises(TooLittleData, match="They need 100"):
        train_segments(tiny_world(n_customers=50), brand=a_brand())


def test_too_short_a_history_is_refused_with_a_day(tiny_world: Callable[..., Any]) -> None:
    with pytest.raises(TooLittleData, match="wait until 2023-01-16"):
        train_segments(tiny_world(days=10), brand=a_brand())
