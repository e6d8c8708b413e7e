"""docs/moments.md says what is so: its example is a moment, and it explains every word that an answer may hold."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from features.brand import Moment
from features.variable_names import MOMENT_VARIABLES, OF_A_REQUEST
from serving import due_moments, reach
from serving.contact import blocks, consent

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "moments.md").read_text("utf-8")


def test_the_example_is_a_moment_and_every_key_is_explained() -> None:
    block = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    moments = yaml.safe_load(block)["moments"]
    assert Moment.model_validate(moments["abandoned_cart"]).wait_hours == 3
    assert [name for name in Moment.model_fields if f"`{name}`" not in PAGE] == []


def test_every_variable_and_every_reason_is_explained() -> None:
    reasons = [
        due_moments.EXPIRED,
        due_moments.TOO_SOON,
        due_moments.WHEN,
        due_moments.WHEN_UNKNOWN,
        due_moments.NOT_IN_BRAND,
        consent.NO_CONSENT,
        consent.UNSUBSCRIBED,
        blocks.CARRIER_LIMIT,
        blocks.QUIET_HOURS,
        blocks.FREQUENCY_CAP,
        reach.NEVER_ON_CHANNEL,
        reach.SESSION_CLOSED,
        reach.NOT_THERE,
        reach.HELD_OUT,
        reach.ON_NO_CHANNEL,
    ]
    assert [name for name in (*MOMENT_VARIABLES, *OF_A_REQUEST, *reasons) if f"`{name}`" not in PAGE] == []
