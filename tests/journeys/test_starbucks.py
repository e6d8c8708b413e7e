"""Declared profiles, an experiment of offers and transactions go in; a message comes out over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.journeys.shop import Shop

MAPPINGS = REPOSITORY / "docs" / "mappings"
