"""The contract of the single-row path: the scores of LightGBM's own predict, whoever asks, whatever is freed."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pytest

from training.calibration import IDENTITY, Calibration, FloatArray, from_log_odds
from training.fast_booster import ROWS_ONE_BY_ONE, BoosterError, Boosters

N_INPUTS = 6


def a_text(*, classes: int = 1, seed: int = 7, inputs: int = N_INPUTS) -> str:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, inputs))
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:, 0] = rng.integers(0, 4, 400)
    y = rng.integers(0, max(classes, 2), 400)
    parameters = {"objective": "multiclass" if classes > 1 else "binary", "verbose": -1, "num_threads": 1}
    if classes > 1:
        parameters["num_class"] = classes
    data = lightgbm.Dataset(X, y, categorical_feature=[0])
    return str(lightgbm.train(parameters, data, num_boost_round=12).model_to_string())


def rows(n: int = 40, *, seed: int = 1) -> FloatArray:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_INPUTS))
    X[:, 0] = rng.integers(-1, 6, n)  # among them categories that nobody learned
    X[rng.random(X.shape) < 0.3] = np.nan
    X[rng.random(X.shape) < 0.1] = 0.0
    return X


def one_by_one(boosters: Boosters, X: FloatArray) -> FloatArray:
    return np.vstack([boosters.raw_scores(X[i : i + 1]) for i in range(len(X))])


@pytest.mark.parametrize("classes", [[1], [3], [1, 1, 1], [1, 3]])
def test_a_row_alone_gets_what_lightgbm_gives_it_among_others(classes: list[int]) -> None:
    texts, X = [a_text(classes=n, seed=n + i) for i, n in enumerate(classes)], rows()
    boosters = Boosters(texts)
    expected = np.column_stack([lightgbm.Booster(model_str=text).predict(X, raw_score=True) for text in texts])
    assert np.array_equal(boosters.raw_scores(X), expected)
    assert np.array_equal(one_by_one(boosters, X), expected)


@pytest.mark.parametrize("n", [2, ROWS_ONE_BY_ONE, ROWS_ONE_BY_ONE + 1])
def test_a_few_rows_get_what_lightgbm_gives_them(n: int) -> None:
    text, X = a_text(classes=3), np.asfortranarray(rows(n))
    assert np.array_equal(Boosters([text]).raw_scores(X), lightgbm.Booster(model_str=text).predict(X, raw_score=True))


def test_what_was_given_out_is_not_overwritten_by_the_next_row() -> None:
    boosters, X = Boosters([a_text()]), rows(2)
    first = boosters.raw_scores(X[:1])
    kept = first.copy()
    boosters.raw_scores(X[1:])
    assert np.array_equal(first, kept)


def test_any_layout_of_one_row_is_read_right() -> None:
    boosters, X = Boosters([a_text()]), np.asfortranarray(rows(ROWS_ONE_BY_ONE + 1))
    assert np.array_equal(one_by_one(boosters, X), boosters.raw_scores(np.ascontiguousarray(X)))


def test_a_row_of_another_width_is_refused_as_a_batch_of_it_is() -> None:
    boosters = Boosters([a_text()])
    for n in (1, 2):
        with pytest.raises(BoosterError, match="number of features"):
            boosters.raw_scores(np.zeros((n, N_INPUTS - 1)))


@pytest.mark.parametrize("widths", [(N_INPUTS, N_INPUTS - 1), (N_INPUTS - 1, N_INPUTS)])
def test_boosters_of_different_inputs_are_refused(widths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="same inputs"):
        Boosters([a_text(inputs=width) for width in widths])


def test_many_threads_at_once_get_their_own_answers() -> None:
    several = [Boosters([a_text(seed=seed), a_text(classes=3, seed=seed)]) for seed in (1, 2, 3)]
    together = threading.Barrier(8)

    def ask(seed: int) -> bool:
        X = rows(200, seed=seed)
        expected = [boosters.raw_scores(X) for boosters in several]
        together.wait(timeout=30)
        alone = [[boosters.raw_scores(X[i : i + 1])[0] for boosters in several] for i in range(len(X))]
        return all(np.array_equal([scores[m] for scores in alone], expected[m]) for m in range(len(several)))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))


def test_dropping_one_model_leaves_the_others_whole() -> None:
    X = rows()
    kept, dropped = Boosters([a_text(seed=1)]), Boosters([a_text(seed=2)])
    expected = one_by_one(kept, X)
    one_by_one(dropped, X)
    gone = weakref.ref(dropped._single_row())
    del dropped
    gc.collect()
    assert gone() is None
    assert np.array_equal(one_by_one(kept, X), expected)


def test_models_are_swapped_under_the_threads_that_use_them() -> None:
    texts, X = [a_text(seed=seed) for seed in (1, 2)], rows(20)
    expected = [Boosters([text]).raw_scores(X) for text in texts]
    served, stop = [(0, Boosters([texts[0]]))], threading.Event()

    def ask() -> int:
        wrong = 0
        while not stop.is_set():
            which, boosters = served[0]
            wrong += not np.array_equal(one_by_one(boosters, X), expected[which])
        return wrong

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(ask) for _ in range(4)]
        try:
            for n in range(60):
                served[0] = (n % 2, Boosters([texts[n % 2]]))
        finally:
            stop.set()
        assert [one.result() for one in asked] == [0, 0, 0, 0]


def test_a_thread_that_ends_frees_its_handles_and_nothing_else() -> None:
    boosters, X = Boosters([a_text()]), rows(3)
    expected, seen = one_by_one(boosters, X), []

    def ask() -> None:
        seen.append((one_by_one(boosters, X), weakref.ref(boosters._single_row())))

    for _ in range(5):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    gc.collect()
    assert all(np.array_equal(scores, expected) for scores, _ in seen)
    assert all(single_row() is None for _, single_row in seen)
    assert np.array_equal(one_by_one(boosters, X), expected)


@pytest.mark.parametrize(
    "calibration", [IDENTITY, Calibration("isotonic", (-1.0, 0.0, 0.5, 2.0), (-2.0, -0.5, -0.5, 1.0))]
)
def test_a_calibrated_score_alone_is_what_it_is_among_others(calibration: Calibration) -> None:
    scores = np.random.default_rng(3).normal(scale=2.0, size=50)
    alone = np.concatenate([calibration.apply(scores[i : i + 1]) for i in range(50)])
    assert np.array_equal(alone, calibration.apply(scores))
    assert np.array_equal(calibration.apply(scores), from_log_odds(calibration.calibrated(scores)))


@pytest.mark.parametrize("module", ["training.artifact", "training.scoring"])
def test_whoever_serves_or_scores_imports_neither_scikit_learn_nor_scipy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'lightgbm', 'sklearn', 'scipy'}} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_text_that_is_no_model_is_refused() -> None:
    with pytest.raises(BoosterError):
        Boosters(["no model"])
