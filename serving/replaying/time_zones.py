"""Which edition of the time zone database this process reckons with: quiet hours and calendar days rest on it."""

from __future__ import annotations

import zoneinfo
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def tzdata_version() -> str:
    """Of the machine's own files where Python finds them, such as `2025b`; else of the package tzdata."""
    for folder in zoneinfo.TZPATH:
        try:
            with (Path(folder) / "tzdata.zi").open(encoding="utf-8") as file:
                first = file.readline()
        except OSError:
            continue
        if first.startswith("# version "):
            return first.removeprefix("# version ").strip()
    try:
        return f"package {version('tzdata')}"
    except PackageNotFoundError:
        return "unknown"
