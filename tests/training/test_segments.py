from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.brand import Brand
from training.artifact import SEGMENTS, SegmentsModel, load_model, sha256_of, write_artifact
from training.rounds.segments import champion_of, separates_as_well
from training.segment_alignment import align
from training.segment_assigner import hide_behaviour
from training.segment_discovery import UNUSUAL, Grouping, discover, nearest
from training.segment_names import keep_names, language_of
from training.segment_space import Space, learn_space
from training.segments import TrainedSegments, train_segments
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
    assert 2 <= len(shares) <= 11
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


def champion_in(folder: Path, trained: TrainedSegments) -> None:
    version = write_artifact(folder, trained.description, trained.boosters)
    sha256 = sha256_of((folder / SEGMENTS / version / "model.json").read_bytes())
    (folder / "champion.json").write_text(json.dumps({SEGMENTS: {"version": version, "sha256": sha256}}))


def a_schema(world: Any, **other: Any) -> Any:
    return SimpleNamespace(**{"model_inputs": world.inputs, "categories": world.categories, "version": "tiny"} | other)


def test_a_champion_that_cannot_be_served_lends_its_ids_and_keeps_nobody_back(
    trained: TrainedSegments, world: Any, tmp_path: Path
) -> None:
    def source(schema: Any) -> Any:
        return SimpleNamespace(workspace=SimpleNamespace(artifacts=tmp_path), schema=schema)

    assert champion_of(source(a_schema(world))) == (None, None)
    champion_in(tmp_path, trained)
    _, champion = champion_of(source(a_schema(world)))
    assert champion is not None
    assert champion.segment_ids == tuple(one["id"] for one in trained.description["segments"])
    reordered = {"trait_skin_need": tuple(reversed(world.categories["trait_skin_need"]))}
    previous, champion = champion_of(source(a_schema(world, categories=reordered)))
    assert champion is None
    assert previous is not None
    assert previous["segments"] == trained.description["segments"]


def test_the_same_groups_found_anew_separate_as_well_as_the_champion_and_luck_does_not(
    trained: TrainedSegments, model: SegmentsModel, world: Any, tiny_world: Callable[..., Any]
) -> None:
    later = tiny_world(n_customers=600, days=150, seed=6)
    again = train_segments(later, brand=a_brand(), previous=trained.description)
    fresh = SegmentsModel(again.description | {"version": "again"}, again.boosters, schema=a_schema(world))
    X = later.snapshot(later.known_until).X
    placed = Space.from_list(again.description["space"]).place(X, inputs=later.inputs)
    assert separates_as_well(placed, X, fresh, model).passed
    draws = np.random.default_rng(0).choice(model.segment_ids, len(X)).tolist()
    guessing: Any = SimpleNamespace(assign=lambda _: draws)
    assert not separates_as_well(placed, X, guessing, model).passed


def test_choices_in_another_order_are_the_same_people(trained: TrainedSegments, world: Any) -> None:
    X, inputs = world.snapshot(world.known_until).X, world.inputs
    place, said = inputs.index("trait_skin_need"), world.categories["trait_skin_need"]
    assert any(axis["input"] == "trait_skin_need" for axis in trained.description["space"])
    turned = X.copy()
    turned[:, place] = len(said) - 1 - X[:, place]
    then, ids = Grouping.of_description(trained.description, inputs=inputs)
    today = {"trait_skin_need": tuple(reversed(said))}
    now, same_ids = Grouping.of_description(trained.description, inputs=inputs, categories=today)
    assert ids == same_ids
    assert now.labels(turned, inputs=inputs).tolist() == then.labels(X, inputs=inputs).tolist()
    without, _ = Grouping.of_description(trained.description, inputs=inputs, categories={"trait_skin_need": ()})
    assert all(axis.code is None for axis in without.space.axes)


def test_groups_that_merely_change_places_keep_their_ids() -> None:
    old = np.repeat([0, 1, 2], 10)
    new = np.repeat([2, 0, 1], 10)
    assert align(new, k=3, previous=old, previous_ids=["s1", "s2", "s3"])[0] == ["s2", "s3", "s1"]


def test_a_group_that_shares_less_than_half_with_any_old_one_gets_an_id_that_never_was() -> None:
    old = np.repeat([0, 1], [10, 20])
    new = np.repeat([0, 1, 2], [10, 8, 12])
    ids, continued = align(new, k=3, previous=old, previous_ids=["s1", "s2"], last_id=7)
    assert ids == ["s1", "s8", "s2"]  # 12 of 20 customers stayed together, 8 of 20 did not
    assert continued == ["s1", None, "s2"]


def test_the_unusual_continue_nothing_and_keep_their_own_id() -> None:
    old = np.repeat([0, 1], [10, 10])
    new = np.repeat([0, 1], [10, 10])  # the second are at k: unusual
    ids, _ = align(new, k=1, previous=old, previous_ids=["s1", UNUSUAL])
    assert ids == ["s1"]


def heaps(n_far: int = 0) -> tuple[Any, Any]:
    """Three heaps of 100 on two counts, and some customers who are like none of them; logarithms of the counts."""
    rng = np.random.default_rng(0)
    placed = np.vstack([rng.normal(centre, 0.1, size=(100, 2)) for centre in ((1, 1), (4, 1), (1, 4))])
    X = np.expm1(np.vstack([placed, rng.uniform(14, 16, size=(n_far, 2))])).astype(np.float32)
    return learn_space(X, inputs=("n_orders", "n_refunds"), categories={}), X


def test_heaps_that_lie_apart_come_again_and_are_never_mixed() -> None:
    space, X = heaps()
    inputs = ("n_orders", "n_refunds")
    found = discover(space, X, inputs=inputs, seed=0)
    scores = {one["k"]: one for one in found.candidates}
    assert scores[3]["stability"] > 0.99
    assert scores[3]["silhouette"] == max(one["silhouette"] for one in found.candidates)
    labels = found.grouping.labels(X, inputs=inputs)
    assert not set(labels[:100]) & set(labels[100:200])
    assert not set(labels[100:200]) & set(labels[200:])
    assert found.grouping.fence is None


def test_a_cloud_without_groups_is_not_called_stable_beyond_what_comes_again() -> None:
    X = np.expm1(np.random.default_rng(3).uniform(1, 2, size=(500, 4))).astype(np.float32)
    inputs = ("n_orders", "n_refunds", "revenue", "mean_gap_days")
    found = discover(learn_space(X, inputs=inputs, categories={}), X, inputs=inputs, seed=0)
    assert {one["k"]: one["stability"] >= 0.75 for one in found.candidates}[10] is False
    assert len(found.centres) < 10
    assert all(one["stability"] < 0.75 for one in found.candidates if one["k"] > len(found.centres))


def test_whoever_is_like_nobody_is_called_unusual_and_forced_into_no_group() -> None:
    rng = np.random.default_rng(1)
    usual = rng.normal([[2.0, 2.0]], 0.3, size=(1200, 2)) + rng.choice([0.0, 2.0], size=(1200, 1))
    X = np.expm1(np.vstack([usual, rng.uniform(8, 9, size=(30, 2))])).astype(np.float32)
    inputs = ("n_orders", "n_refunds")
    found = discover(learn_space(X, inputs=inputs, categories={}), X, inputs=inputs, seed=0)
    labels = found.grouping.labels(X, inputs=inputs)
    assert found.n_unusual == 30
    assert set(labels[1200:]) == {len(found.centres)}
    assert (labels[:1200] < len(found.centres)).all()


def test_to_be_new_is_not_unusual() -> None:
    rng = np.random.default_rng(1)
    X = np.column_stack([np.r_[rng.uniform(900, 1100, 1000), np.zeros(40)], rng.uniform(1, 9, 1040)]).astype(np.float32)
    inputs = ("tenure_days", "n_orders")
    found = discover(learn_space(X, inputs=inputs, categories={}), X, inputs=inputs, seed=0)
    assert found.n_unusual == 0


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
