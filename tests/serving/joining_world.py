"""A shop whose messages have a link, buttons that say something, and a coupon; and customers who press them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from features.brand import Channel
from features.catalogue import Incentive, Item, Link, Rendering, Reply
from features.database import connect
from features.workspace import Workspace
from serving.contact.coupons import add_codes
from serving.engine import Engine
from serving.http import build_app
from serving.joining.stamper import Stamper
from serving.joining.tokens import TokenMint
from tests.serving.tiny_shop import REPLY, WEEKLY, a_shop
from tests.serving.tiny_world import TIP, Clock, an_action

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PUBLIC = "https://r.example.com"
SHOP = "https://shop.example/sale?size=2"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
BUTTONS = (
    Reply(text="Dry", trait="need", value="dry"),
    Reply(text="Not now", refuses="not_now"),
    Reply(text="Never", refuses="never"),
)
HELLO = an_action(
    "hello",
    expected_rate=0.5,
    renderings={
        "en": Rendering(
            body="Hello",
            link=Link(url=SHOP, label="Shop"),
            suggested_replies=BUTTONS,
            items=(Item(title="Soap", url="https://shop.example/soap"),),
        )
    },
)
CODED = an_action(
    "coded",
    kind="offer",
    expected_rate=0.9,
    placements=("deal",),
    incentive=Incentive(kind="amount", value=5.0, cost=5.0, coupons="spring"),
    renderings={"en": Rendering(body="Take {{ coupon_code }}")},
)


def a_joining_shop(folder: Path) -> Workspace:
    mail = Channel(kind="email", consent="session", body_limit=500, buttons_limit=3)
    workspace = a_shop(
        folder,
        TIP.model_copy(update={"placements": ("reply", "weekly", "deal")}),
        HELLO,
        CODED,
        channels={
            "web": Channel(kind="web", consent="session", body_limit=500, buttons_limit=3),
            "chat": Channel(kind="chat", consent="session", body_limit=500, buttons_limit=3),
            "mail": mail,
        },
        placements={
            "reply": REPLY,
            "weekly": WEEKLY,
            "deal": REPLY,
        },
        link_hosts=("partner.example",),
    )
    with closing(connect(workspace.database)) as connection:
        add_codes(connection, "spring", [f"SPRING-{n}" for n in range(20)])
    return workspace


class World:
    """The app over one engine, and what is in its ledger."""

    def __init__(self, workspace: Workspace, *, public_url: str | None = PUBLIC) -> None:
        self.workspace, self.clock = workspace, Clock()
        self.mint = TokenMint(b"a secret of this test")
        self.engine = Engine(workspace, clock=self.clock, draw=lambda: 0.5, stamper=Stamper(self.mint, public_url))
        self.app = _app()
        self.app.state.engine = self.engine

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client:
                return await client.request(method, path, **more)

        return asyncio.run(sent())

    def press(self, url: str, *, user_agent: str = CHROME, method: str = "GET", **headers: str) -> httpx.Response:
        """As a browser would, a minute after it was decided."""
        self.clock.later(minutes=1)
        return self.send(method, url, headers={"user-agent": user_agent} | headers)

    def decided(self, customer_id: str, placement: str = "reply", channel: str = "web", **more: Any) -> dict[str, Any]:
        body = {"customer_id": customer_id, "placement": placement, "channel": channel} | more
        answer = self.send("POST", "/v1/decisions", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def report(self, *reports: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.send("POST", "/v1/outcomes", json=list(reports))
        assert answer.status_code == 200, answer.text
        told: list[dict[str, Any]] = answer.json()["outcomes"]
        return told

    def track(self, event: str, user: str, **more: Any) -> dict[str, Any]:
        body = {"type": "track", "event": event, "userId": user, "timestamp": self.clock.now.isoformat()} | more
        answer = self.send("POST", "/v1/batch", json={"batch": [body]})
        assert answer.status_code == 202, answer.text
        verdicts: list[dict[str, Any]] = answer.json()["events"]
        return verdicts[0]

    def outcomes(self, decision_id: str, columns: str = "outcome, joined_by") -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM outcomes WHERE decision_id = ? ORDER BY rowid"
        return self.rows(query, decision_id)

    def n_outcomes(self) -> int:
        return int(self.rows("SELECT count(*) FROM outcomes")[0][0])

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.workspace.database)) as connection:
            return connection.execute(query, values).fetchall()

    def counts(self, action_id: str) -> tuple[int, int]:
        """Decided and converted, over all segments and days."""
        query = "SELECT sum(n_decided), sum(n_converted) FROM action_statistics WHERE action_id = ?"
        return tuple(self.rows(query, action_id)[0])


def payload(told: dict[str, Any], text: str) -> str:
    """What pressing that button of an answer's message sends."""
    (reply,) = (reply for reply in told["message"]["replies"] if reply["text"] == text)
    return str(reply["payload"])


@lru_cache(maxsize=1)
def _app() -> Any:
    return build_app()


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, Any] = json.loads(answer.content)
    return told
