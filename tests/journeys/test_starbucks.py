"""Declared profiles, offers sent at random and transactions go in; a message comes out over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.journeys.shop import Shop, script_of

MAPPINGS = REPOSITORY / "docs" / "mappings"
