"""Memory is settled without a change to what is in it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from serving.memory import _whole_huge_pages, settle_memory

MAPS = """\
55d0c0000000-55d0c0600000 rw-p 00000000 00:00 0                          [heap]
7f0000100000-7f0000700000 rw-p 00000000 00:00 0
7f0000800000-7f0000900000 rw-p 00000000 00:00 0
7f0000c00000-7f0001000000 r--p 00000000 00:00 0
7f0001000000-7f0001400000 rw-s 00000000 00:01 77                         /dev/shm/of several
7f0002000000-7f0002400000 rw-p 00000000 08:01 78                         /tmp/a file's
7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                          [stack]
"""


@pytest.fixture
def _settings_of_gc() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_settings_of_gc")
def test_what_was_there_is_there_afterwards_and_no_longer_looked_through() -> None:
    held = [bytes([n % 256]) * 1_000 for n in range(20_000)]  # 20 MB, ten huge pages

    settle_memory()

    assert all(one == bytes([n % 256]) * 1_000 for n, one in enumerate(held))
    assert gc.get_freeze_count() > 0


def test_only_whole_huge_pages_of_this_process_alone_are_put_together() -> None:
    assert [hex(begin) for begin in _whole_huge_pages(MAPS)] == [
        *("0x55d0c0000000", "0x55d0c0200000", "0x55d0c0400000"),  # the heap, all of it
        *("0x7f0000200000", "0x7f0000400000"),  # from the first boundary to the last
    ]
