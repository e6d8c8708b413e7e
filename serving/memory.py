"""How a worker's memory lies once it is open: nothing is looked through or searched for without need.

A lone decision touches each of its objects once, in cold caches, and what it looks for there it first has to translate.
What a worker holds for good is therefore put onto huge pages, which a virtual machine translates in fewer steps.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

_HUGE = 2 << 20
_MADV_COLLAPSE = 25  # Linux 6.1


def settle_memory() -> None:
    """What is there now is for good; to be called once, when everything is open."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # a C library without madvise; no /proc
            _collapse(ctypes.CDLL(None, use_errno=True))


def _collapse(libc: ctypes.CDLL) -> None:
    """Puts what is in use onto huge pages; where a system cannot, it stays where it is."""
    for begin in _whole_huge_pages(Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")):
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(_HUGE), _MADV_COLLAPSE)


def _whole_huge_pages(maps: str) -> Iterator[int]:
    """Where each huge page would begin that lies within memory of this process alone; without its first stack."""
    for line in maps.splitlines():
        extent, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights != "rw-p" or inode != "0" or (name and name[0].startswith("[stack")):
            continue
        begin, end = (int(address, 16) for address in extent.split("-"))
        yield from range(-(-begin // _HUGE) * _HUGE, end // _HUGE * _HUGE, _HUGE)
