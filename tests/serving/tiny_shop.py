"""The tiny brand as a workspace on disk, for engines that read files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import yaml

from features.brand import Brand, Placement
from features.catalogue import Action
from features.workspace import Workspace
from serving.engine import Engine
from serving.schemas import DecisionRequest
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


def a_customer(engine: Engine, name: str, *, orders: int) -> int:
    """Somebody who ordered so often, every ten days, last five days ago, and of whom that is known: their key."""
    engine.decide(DecisionRequest(customer_id=name, placement="reply", channel="web"))  # makes their key
    key, now = engine.key_of(name), engine.now()
    if key is None:
        raise LookupError(f"{name} has no key")
    for n in range(orders):
        at = now - timedelta(days=10 * n + 5)
        row = {"event_id": f"{name}-{n}", "customer_key": key, "event": "Order Completed", "order_id": f"{name}-{n}"}
        engine.online.log.append([row | {"occurred_at": at, "received_at": at, "total": 50.0, "currency": "EUR"}])
    engine.online.refresh([key], now=now)
    return key
