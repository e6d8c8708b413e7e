"""Raw scores of boosters that read the same inputs, cheap for one row and the same for many.

`Booster.predict` parses its parameters and builds a predictor at every call, which costs ten times what the trees do
for one row. LightGBM's C API for single rows does that once: `FastInit` gives a handle with its own buffers, which one
thread may use at a time, so each thread that asks has its own. The library is loaded without its Python package, which
imports scikit-learn and SciPy: seconds of every worker's start. Invariant: a row alone gets bit by bit what it gets
among others; a handle lives while a call is in it and is freed before its booster.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROWS_WORTH_A_SECOND_THREAD = 2_000
ROWS_ONE_BY_ONE = 32
"""So few rows are scored one after the other: to begin with a matrix costs LightGBM as much as several of them."""

# Of LightGBM's c_api.h: C_API_PREDICT_RAW_SCORE, C_API_PREDICT_CONTRIB and C_API_DTYPE_FLOAT64.
_RAW_SCORE = 1
_CONTRIBUTIONS = 3
_FLOAT64 = 1
_ONE_AT_A_TIME = threading.Lock()  # contributions asked for by several threads have crashed LightGBM 4.7
_ALL_ITERATIONS = (ctypes.c_int(0), ctypes.c_int(-1))  # from the first to the last


class BoosterError(Exception):
    """LightGBM could not do what it was asked."""


class Boosters:
    """Boosters side by side; safe from several threads.

    Args:
        texts: LightGBM's model text, one a booster, at least one, all of the same inputs.

    Raises:
        ValueError: there is none, or they do not have the same number of inputs.
        BoosterError: a text is no model.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._boosters = tuple(_Booster(text) for text in texts)
        widths = [booster.n_inputs for booster in self._boosters]
        if len(set(widths)) != 1:
            raise ValueError(f"Boosters side by side read the same inputs, at least one does; these read {widths}.")
        self.n = len(self._boosters)
        self._n_inputs = widths[0]
        self._of_thread = threading.local()

    def raw_scores(self, X: FloatArray) -> FloatArray:
        """Raw scores, shape `(n, n_outputs)`: a column for a binary booster, one a class for a multiclass one.

        Args:
            X: shape `(n, n_inputs)`, NaN where unknown.
        """
        if 1 <= len(X) <= ROWS_ONE_BY_ONE and X.shape[1:] == (self._n_inputs,):
            return self._single_row().raw_scores(X)
        threads = 1 if len(X) < ROWS_WORTH_A_SECOND_THREAD else 2
        return np.column_stack([booster.raw_scores(X, n_threads=threads) for booster in self._boosters])

    def contributions(self, X: FloatArray, *, of: int = 0) -> FloatArray:
        """What each input adds to one booster's raw score, shape `(n, n_inputs + 1)`; the last is what none adds.

        A row's numbers sum to its raw score (Lundberg and Lee 2017; exact for trees).

        Args:
            X: shape `(n, n_inputs)`, NaN where unknown.
            of: which booster, in the order of the texts; it has one output.
        """
        return self._boosters[of].contributions(X)

    def _single_row(self) -> _SingleRow:
        try:
            single_row: _SingleRow = self._of_thread.single_row
        except AttributeError:
            single_row = self._of_thread.single_row = _SingleRow(self._boosters)
        return single_row


class _Booster:
    """One booster, freed when nobody holds it any more."""

    def __init__(self, text: str) -> None:
        self.handle = ctypes.c_void_p()
        n_iterations = ctypes.c_int()
        load = _library().LGBM_BoosterLoadModelFromString
        _check(load(text.encode(), ctypes.byref(n_iterations), ctypes.byref(self.handle)))
        weakref.finalize(self, _library().LGBM_BoosterFree, self.handle).atexit = False  # a thread may still be in it
        self.n_inputs = self._number("LGBM_BoosterGetNumFeature")
        self.n_outputs = self._number("LGBM_BoosterNumModelPerIteration")

    def raw_scores(self, X: FloatArray, *, n_threads: int) -> FloatArray:
        return self._predicted(X, _RAW_SCORE, width=self.n_outputs, n_threads=n_threads)

    def contributions(self, X: FloatArray) -> FloatArray:
        with _ONE_AT_A_TIME:
            return self._predicted(X, _CONTRIBUTIONS, width=self.n_outputs * (self.n_inputs + 1), n_threads=1)

    def _predicted(self, X: FloatArray, what: int, *, width: int, n_threads: int) -> FloatArray:
        rows = np.ascontiguousarray(X, dtype=np.float64)
        scores = np.empty((len(rows), width))
        n_written = ctypes.c_int64()
        _check(
            _library().LGBM_BoosterPredictForMat(
                self.handle,
                ctypes.c_void_p(rows.ctypes.data),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(len(rows)),
                ctypes.c_int32(rows.shape[1]),  # another number of them is refused
                ctypes.c_int(1),  # row after row
                ctypes.c_int(what),
                *_ALL_ITERATIONS,
                f"num_threads={n_threads}".encode(),
                ctypes.byref(n_written),
                ctypes.c_void_p(scores.ctypes.data),
            )
        )
        return scores

    def _number(self, function: str) -> int:
        number = ctypes.c_int()
        _check(getattr(_library(), function)(self.handle, ctypes.byref(number)))
        return number.value


class _SingleRow:
    """One thread's handles, with the memory that they read from and write to."""

    def __init__(self, boosters: Sequence[_Booster]) -> None:
        self._inputs = np.zeros((1, boosters[0].n_inputs))
        self._scores = np.zeros((1, sum(booster.n_outputs for booster in boosters)))
        # PyDLL keeps the GIL: giving it up for a few µs may cost a whole switch interval (5 ms) to get it back.
        library = ctypes.PyDLL("lightgbm", handle=_library()._handle)
        self._score = library.LGBM_BoosterPredictForMatSingleRowFast
        self._score.argtypes = [ctypes.c_void_p] * 4
        handles: list[ctypes.c_void_p] = []
        weakref.finalize(self, _free, library, handles, tuple(boosters)).atexit = False  # a thread may still be in one
        self._n_written = ctypes.c_int64()
        self._calls = []
        address = self._scores.ctypes.data
        for booster in boosters:
            handles.append(_fast_handle(library, booster))
            pointers = (handles[-1].value, self._inputs.ctypes.data, ctypes.addressof(self._n_written), address)
            self._calls.append(tuple(ctypes.c_void_p(pointer) for pointer in pointers))
            address += booster.n_outputs * self._scores.itemsize

    def raw_scores(self, X: FloatArray) -> FloatArray:
        score, scores = self._score, np.empty((len(X), self._scores.shape[1]))
        for number, row in enumerate(X):
            self._inputs[0] = row
            for call in self._calls:
                _check(score(*call))
            scores[number] = self._scores[0]
        return scores


def _fast_handle(library: ctypes.PyDLL, booster: _Booster) -> ctypes.c_void_p:
    handle = ctypes.c_void_p()
    _check(
        library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster.handle,
            ctypes.c_int(_RAW_SCORE),
            *_ALL_ITERATIONS,
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(booster.n_inputs),
            b"num_threads=1",
            ctypes.byref(handle),
        )
    )
    return handle


def _free(library: ctypes.PyDLL, handles: list[ctypes.c_void_p], boosters: Sequence[_Booster]) -> None:
    """Frees the handles; that `boosters` is an argument keeps them alive until then."""
    while handles:
        library.LGBM_FastConfigFree(handles.pop())


@cache
def _library() -> ctypes.CDLL:
    """LightGBM's own library, the same that its Python package loads where training has imported that."""
    package = find_spec("lightgbm")
    if package is None or package.origin is None:
        raise BoosterError("The package lightgbm is not installed.")
    (file,) = (Path(package.origin).parent / "lib").glob("lib_lightgbm.*")
    library = ctypes.CDLL(str(file))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _check(status: int) -> None:
    if status != 0:
        raise BoosterError(_library().LGBM_GetLastError().decode())
