"""What docs/running.md tells people to type is what the command takes, and its CronJob is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from features.incremental import MOST_TOUCHED
from features.lake_changes import MOST_STEPS
from features.snapshot_keeping import KEPT_FOR, KEPT_FOR_OFF_MIDNIGHT
from tests.typed import parsed
from training.routine.steps import STEPS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "running.md").read_text("utf-8")
CRON = re.findall(r"```cron\n(.*?)```", PAGE, re.DOTALL)[0]


def test_the_cron_line_calls_the_run() -> None:
    words = shlex.split(CRON.split("&&")[1].split(">>")[0])
    start = next(n for n, word in enumerate(words) if word.endswith("/rapport"))
    assert parsed(["rapport", *words[start + 1 :]])["as_json"] is True


def test_the_cron_job_calls_the_run_and_tries_again() -> None:
    job = yaml.safe_load((DOCS / "kubernetes" / "rapport-run.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"], job["spec"]["concurrencyPolicy"]) == ("batch/v1", "CronJob", "Forbid")
    inner = job["spec"]["jobTemplate"]["spec"]
    container = inner["template"]["spec"]["containers"][0]
    assert parsed(container["command"])["workspace"] == Path("/brand")
    assert inner["backoffLimit"] > 0
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in inner["template"]["spec"]["volumes"]}


def test_the_page_names_every_step_in_order() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(STEPS)


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    assert f"for {KEPT_FOR.days} days" in PAGE
    assert KEPT_FOR_OFF_MIDNIGHT.days == 2
    assert "for two days" in PAGE
    assert MOST_TOUCHED == 0.5
    assert "more than half" in PAGE
    decided = (DOCS / "decisions" / "0011-what-outdates-a-snapshot.md").read_text("utf-8")
    assert f"{MOST_STEPS:,} steps" in decided
