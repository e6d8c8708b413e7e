"""The tiny brand as a workspace on disk, for engines that read files."""

from __future__ import annotations

from pathlib import Path

import yaml

from features.brand import Brand, Placement
from features.catalogue import Action
from features.workspace import Workspace
from tests.serving.tiny_world import COUPON, TIP, a_brand, a_catalogue

REPLY = Placement(initiated_by="customer", channels=("web", "chat"), baseline="tip", fallback="tip")
WEEKLY = Placement(initiated_by="brand", channels=("mail",), baseline="tip", fallback="tip")


def a_shop(folder: Path, *actions: Action, **changes: object) -> Workspace:
    """A workspace with these actions (the tip and the coupon where none is named) and these changes of the brand."""
    brand: Brand = a_brand(**({"placements": {"reply": REPLY, "weekly": WEEKLY}} | changes))
    folder.mkdir(parents=True, exist_ok=True)
    for name, said in (("brand", brand), ("catalogue", a_catalogue(*(actions or (TIP, COUPON))))):
        text = yaml.safe_dump(said.model_dump(mode="json", exclude_defaults=True), allow_unicode=True, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return Workspace(folder)
