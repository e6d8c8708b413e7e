"""Work that goes on beside what follows it, on a thread of its own.

The longest parts of training leave Python (LightGBM, DuckDB, NumPy) or use one core of several: what neither needs nor
changes anything of theirs costs no time beside them. Nothing depends on which of the two ends first.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

_Result = TypeVar("_Result")


def begun(work: Callable[[], _Result]) -> Callable[[], _Result]:
    """Begins it, and gives what waits for its end: its result, or the fault that ended it.

    It is not given up: the process ends after it.
    """
    pool = ThreadPoolExecutor(max_workers=1)
    future = pool.submit(copy_context().run, work)  # NumPy's way with faults is of a context
    pool.shutdown(wait=False)
    return future.result
