"""docs/contact.md and the starter say what is so: their policies are sound, and every rule and key is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from features.catalogue import Action
from features.contact_policy import Budget, Cap, ContactPolicy, FrequencyCap, QuietHours, Refusals, SharedBudget
from features.starting import write_starter
from features.workspace import Workspace
from features.yaml_file import read_yaml
from serving.contact import blocks, consent, exposures, rules
from tests.serving.tiny_world import a_brand, a_catalogue, an_action

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "contact.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_are_sound() -> None:
    policy = ContactPolicy.model_validate_json(json.dumps(yaml.safe_load(BLOCKS[0])["contact_policy"]))
    said = yaml.safe_load(BLOCKS[1])
    action = an_action("offer", tags=("sale",)).model_dump(mode="json", exclude_none=True) | said
    offer = Action.model_validate_json(json.dumps(action))
    made = rules.ContactRules(a_brand(contact_policy=policy), a_catalogue(offer))
    assert (made.pools, sorted(made.limits)) == (("spring",), ["action:offer", "mailings", "vouchers"])


def test_every_key_and_every_rule_is_explained() -> None:
    parts = (ContactPolicy, QuietHours, Cap, FrequencyCap, Refusals, Budget, SharedBudget)
    keys = {key for part in parts for key in part.model_fields}
    named = {
        blocks.REFUSED,
        blocks.CARRIER_LIMIT,
        blocks.QUIET_HOURS,
        blocks.FREQUENCY_CAP,
        blocks.BUDGET,
        blocks.NO_COUPON_CODE,
        consent.NO_CONSENT,
        consent.UNSUBSCRIBED,
        exposures.ERASED,
        exposures.NOTHING_COUNTED,
    }
    assert sorted(name for name in named if f"`{name}`" not in PAGE) == []
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", PAGE)) == []


def test_what_the_starter_leaves_out_would_be_right(tmp_path: Path) -> None:
    write_starter(tmp_path)
    text = Workspace(tmp_path).brand_file.read_text("utf-8")
    block = text[text.index("# contact_policy:") :].split("\n\n")[0]
    lines = "".join(line.removeprefix("#").removeprefix(" ") + "\n" for line in block.splitlines())
    (tmp_path / "policy.yaml").write_text(lines, "utf-8")
    said = read_yaml(tmp_path / "policy.yaml").value_at(("contact_policy",))
    policy = ContactPolicy.model_validate_json(json.dumps(said))
    assert policy.frequency_caps["weekly"].at_most == 3
    assert policy.quiet_hours[0].start == "21:00"
