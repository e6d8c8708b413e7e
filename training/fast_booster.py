"""Raw scores of boosters that read the same inputs, cheap for one row and the same for many.

`Booster.predict` parses its parameters and builds a predictor at every call, which costs ten times what the trees do
for one row. LightGBM's C API for single rows does that once: `FastInit` gives a handle with its own buffers, which one
thread may use at a time, so each thread that asks has its own. Invariant: a row alone gets bit by bit what it gets
among others; a handle lives while a call is in it and is freed before its booster.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence

import lightgbm
import numpy as np
from lightgbm.basic import _LIB
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROWS_WORTH_A_SECOND_THREAD = 2_000

# Of LightGBM's c_api.h: C_API_PREDICT_RAW_SCORE and C_API_DTYPE_FLOAT64.
_RAW_SCORE = 1
_FLOAT64 = 1


class Boosters:
    """Boosters side by side; safe from several threads.

    Args:
        texts: LightGBM's model text, one a booster, at least one, all of the same inputs.

    Raises:
        ValueError: there is none, or they do not have the same number of inputs.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._boosters = tuple(lightgbm.Booster(model_str=text) for text in texts)
        widths = [booster.num_feature() for booster in self._boosters]
        if len(set(widths)) != 1:
            raise ValueError(f"Boosters side by side read the same inputs, at least one does; these read {widths}.")
        self._one_row = (1, widths[0])
        self._of_thread = threading.local()

    def raw_scores(self, X: FloatArray) -> FloatArray:
        """Raw scores, shape `(n, n_outputs)`: a column for a binary booster, one a class for a multiclass one.

        Args:
            X: shape `(n, n_inputs)`, NaN where unknown.
        """
        if X.shape == self._one_row:
            return self._single_row().raw_scores(X)
        threads = 1 if len(X) < ROWS_WORTH_A_SECOND_THREAD else 2
        predicted = [booster.predict(X, raw_score=True, num_threads=threads) for booster in self._boosters]
        return np.column_stack([np.asarray(scores, dtype=np.float64) for scores in predicted])

    def _single_row(self) -> _SingleRow:
        try:
            single_row: _SingleRow = self._of_thread.single_row
        except AttributeError:
            single_row = self._of_thread.single_row = _SingleRow(self._boosters)
        return single_row


class _SingleRow:
    """One thread's handles, with the memory that they read from and write to."""

    def __init__(self, boosters: Sequence[lightgbm.Booster]) -> None:
        n_outputs = [booster.num_model_per_iteration() for booster in boosters]
        self._inputs = np.zeros((1, boosters[0].num_feature()))
        self._scores = np.zeros((1, sum(n_outputs)))
        # PyDLL keeps the GIL: giving it up for a few µs may cost a whole switch interval (5 ms) to get it back.
        library = ctypes.PyDLL("lightgbm", handle=_LIB._handle)
        self._score = library.LGBM_BoosterPredictForMatSingleRowFast
        self._score.argtypes = [ctypes.c_void_p] * 4
        handles: list[ctypes.c_void_p] = []
        weakref.finalize(self, _free, library, handles, tuple(boosters)).atexit = False  # a thread may still be in one
        self._n_written = ctypes.c_int64()
        self._calls = []
        address = self._scores.ctypes.data
        for booster, n in zip(boosters, n_outputs, strict=True):
            handles.append(_fast_handle(library, booster))
            pointers = (handles[-1].value, self._inputs.ctypes.data, ctypes.addressof(self._n_written), address)
            self._calls.append(tuple(ctypes.c_void_p(pointer) for pointer in pointers))
            address += n * self._scores.itemsize

    def raw_scores(self, X: FloatArray) -> FloatArray:
        self._inputs[:] = X
        score = self._score
        for call in self._calls:
            _check(score(*call))
        return self._scores.copy()


def _fast_handle(library: ctypes.PyDLL, booster: lightgbm.Booster) -> ctypes.c_void_p:
    handle = ctypes.c_void_p()
    _check(
        library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(_RAW_SCORE),
            ctypes.c_int(0),  # from the first iteration
            ctypes.c_int(-1),  # to the last
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(booster.num_feature()),
            b"num_threads=1",
            ctypes.byref(handle),
        )
    )
    return handle


def _free(library: ctypes.PyDLL, handles: list[ctypes.c_void_p], boosters: Sequence[lightgbm.Booster]) -> None:
    """Frees the handles; that `boosters` is an argument keeps them alive until then."""
    while handles:
        library.LGBM_FastConfigFree(handles.pop())


def _check(status: int) -> None:
    if status != 0:
        raise lightgbm.basic.LightGBMError(_LIB.LGBM_GetLastError().decode())
