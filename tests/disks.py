"""Disks that a test may fill and break: mounted for real, by whoever may mount."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType

import pytest


class SmallDisk:
    """A file system of its own, mounted on a folder for as long as the block lasts.

    Args:
        folder: is empty.
        kind: `tmpfs`, or `ext4` in a file beside the folder.
        megabytes: its size.
    """

    def __init__(self, folder: Path, kind: str, *, megabytes: int) -> None:
        self._folder, self._kind = folder, kind
        self._image = folder.parent / f"{folder.name}.image"
        self._ballast = folder / "ballast"
        self._size = f"size={megabytes}m"
        self._bytes = megabytes * 1_024 * 1_024

    def __enter__(self) -> SmallDisk:
        if self._kind == "ext4":
            with self._image.open("wb") as image:
                image.truncate(self._bytes)
            _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "--lazy", str(self._folder))

    def fill(self, *, leave_kilobytes: int) -> None:
        """Puts a file there that leaves so much room."""
        told = subprocess.check_output(["df", "--output=avail", "-k", str(self._folder)]).split()
        self._ballast.write_bytes(b"\0" * (int(told[-1]) - leave_kilobytes) * 1_024)

    def make_room(self) -> None:
        """Takes that file away."""
        self._ballast.unlink()

    def make_read_only(self) -> None:
        """No write from now on; nobody may hold a file of it that is open for writing."""
        _run("mount", "-o", "remount,ro", str(self._folder))

    def make_writable(self) -> None:
        """As before."""
        _run("mount", "-o", "remount,rw", str(self._folder))

    def fail(self) -> None:
        """As if the disk had failed: the kernel takes no write from now on, also into open files."""
        _run("mount", "-o", "remount,abort", str(self._folder))

    def mount_again(self) -> None:
        """As after a repair; nobody may hold a file of it."""
        _run("umount", str(self._folder))
        subprocess.run(["fsck.ext4", "-p", str(self._image)], capture_output=True, check=False)
        self._mount()

    def _mount(self) -> None:
        if self._kind == "tmpfs":
            _run("mount", "-t", "tmpfs", "-o", self._size, "tmpfs", str(self._folder))
        else:
            _run("mount", "-o", "loop", str(self._image), str(self._folder))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@cache
def may_mount(kind: str = "tmpfs") -> bool:
    """Whether this user may mount such a disk here."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "disk"
        folder.mkdir()
        try:
            with SmallDisk(folder, kind, megabytes=16):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


needs_tmpfs = pytest.mark.skipif(not may_mount(), reason="This user may not mount a tmpfs; root may.")
needs_ext4 = pytest.mark.skipif(
    not may_mount("ext4"), reason="An ext4 in a file cannot be made or mounted here: it takes mkfs.ext4, loop and root."
)
