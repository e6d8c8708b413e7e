"""The programs of docs/recipes run as they stand, between a real Rapport and stand-ins of the providers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from features.workspace import Workspace
from tests.serving.conftest import free_port
from tests.serving.provider_rules import whatsapp_accepts
from tests.serving.provider_stand_ins import Line, Mailbox, WhatsApp, http_server, smtp_server

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "recipes"
SECRET = "app-secret"


def program(name: str, folder: Path) -> Path:
    (code,) = re.findall(r"```python\n(.*?)```", (RECIPES / f"{name}.md").read_text("utf-8"), flags=re.DOTALL)
    path = folder / f"recipe_{name}.py"
    path.write_text(code, encoding="utf-8")
    return path


@contextmanager
def running(path: Path, **variables: str) -> Iterator[str]:
    """The program as a process of its own; the address of its webhook."""
    port = free_port()
    environment = os.environ | variables | {"PORT": str(port)}
    with (path.parent / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, path], env=environment, stdout=log, stderr=log)
    try:
        for _ in range(100):
            if call(f"http://127.0.0.1:{port}", b"{}", {})[0]:
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def call(url: str, content: bytes | None, headers: dict[str, str]) -> tuple[int, str]:
    """The status, 0 where nobody listens, and the text."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def get(address: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(address + path, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@pytest.mark.usefixtures("curl")
def test_the_page_on_formats_asks_as_it_says(served_shop: tuple[str, Workspace]) -> None:
    page = (RECIPES.parent / "formats.md").read_text("utf-8")
    (asked,) = re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
    done = subprocess.run(
        ["sh"],
        input=asked.replace("http://127.0.0.1:3000", served_shop[0]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    whatsapp_accepts(json.loads(done.stdout)["formatted"] | {"to": "919812345678"})


def outcomes_of(address: str, decision_id: str) -> set[str]:
    return {one["outcome"] for one in get(address, f"/v1/decisions/{decision_id}")["outcomes"]}


# -- WhatsApp -------------------------------------------------------------------------------------------------------


def webhook(field: str, told: dict[str, Any]) -> bytes:
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": "1065"}, field: [told]}
    return json.dumps(
        {
            "object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
        }
    ).encode()


def to_whatsapps_webhook(address: str, content: bytes, secret: str = SECRET) -> int:
    signed = "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    return call(address, content, {"X-Hub-Signature-256": signed})[0]


@pytest.fixture
def whatsapp(tmp_path: Path, served_shop: tuple[str, Workspace]) -> Iterator[tuple[str, WhatsApp]]:
    provider = WhatsApp("EAAJB")
    path = program("whatsapp", tmp_path)
    with http_server(provider) as graph:
        known = {"WHATSAPP_TOKEN": "EAAJB", "WHATSAPP_APP_SECRET": SECRET, "WHATSAPP_VERIFY_TOKEN": "mine"}
        with running(path, RAPPORT_URL=served_shop[0], GRAPH_URL=f"{graph}/v24.0", **known) as address:
            yield address, provider


def a_message(number: str, wamid: str, **said: Any) -> bytes:
    return webhook("messages", {"from": number, "id": wamid, "timestamp": str(int(time.time()))} | said)


def test_whatsapp_goes_from_a_message_to_an_answer_and_what_came_of_it(
    whatsapp: tuple[str, WhatsApp], served_shop: tuple[str, Workspace]
) -> None:
    address, provider = whatsapp
    text = {"type": "text", "text": {"body": "नमस्ते"}}
    assert to_whatsapps_webhook(address, a_message("919812345678", "wamid.A+/=", **text)) == 200
    (sent,) = provider.taken
    assert sent["to"] == "919812345678"
    decision = sent["biz_opaque_callback_data"]
    for status, stamp in (("delivered", str(int(time.time()))), ("played", "1"), ("read", str(int(time.time())))):
        told = {"id": "wamid.1", "status": status, "timestamp": stamp, "recipient_id": "919812345678"}
        assert to_whatsapps_webhook(address, webhook("statuses", told | {"biz_opaque_callback_data": decision})) == 200
    assert outcomes_of(served_shop[0], decision) == {"delivered", "read"}


def test_what_whatsapp_refuses_comes_back_as_a_failure(
    whatsapp: tuple[str, WhatsApp], served_shop: tuple[str, Workspace]
) -> None:
    address, provider = whatsapp
    provider.limited.add("919812345679")
    text = {"type": "text", "text": {"body": "नमस्ते"}}
    assert to_whatsapps_webhook(address, a_message("919812345679", "wamid.B", **text)) == 200
    decision = "wa-" + hashlib.sha256(b"wamid.B").hexdigest()[:24]
    assert provider.taken == []
    assert outcomes_of(served_shop[0], decision) == {"failed"}


def test_a_message_that_never_came_is_a_failure_with_whatsapps_code(
    whatsapp: tuple[str, WhatsApp], served_shop: tuple[str, Workspace]
) -> None:
    address, provider = whatsapp
    text = {"type": "text", "text": {"body": "नमस्ते"}}
    assert to_whatsapps_webhook(address, a_message("919812345672", "wamid.F", **text)) == 200
    decision = provider.taken[0]["biz_opaque_callback_data"]
    told = {"id": "wamid.1", "status": "failed", "timestamp": str(int(time.time())), "errors": [{"code": 131049}]}
    assert to_whatsapps_webhook(address, webhook("statuses", told | {"biz_opaque_callback_data": decision})) == 200
    assert outcomes_of(served_shop[0], decision) == {"failed"}
    with closing(sqlite3.connect(served_shop[1].database)) as connection:
        written = connection.execute("SELECT reason FROM outcomes WHERE decision_id = ?", [decision]).fetchall()
    assert written == [("131049",)]


def test_a_button_pressed_on_whatsapp_joins_the_decision_that_showed_it(
    whatsapp: tuple[str, WhatsApp], served_shop: tuple[str, Workspace]
) -> None:
    address, provider = whatsapp
    text = {"type": "text", "text": {"body": "नमस्ते"}}
    assert to_whatsapps_webhook(address, a_message("919812345670", "wamid.C", **text)) == 200
    first = provider.taken[0]
    reply = first["interactive"]["action"]["buttons"][0]["reply"]
    pressed = {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": reply}}
    assert to_whatsapps_webhook(address, a_message("919812345670", "wamid.D", **pressed)) == 200
    assert len(provider.taken) == 2
    assert "replied" in outcomes_of(served_shop[0], first["biz_opaque_callback_data"])


def test_whatsapps_webhook_believes_whatsapp_only(whatsapp: tuple[str, WhatsApp]) -> None:
    address, provider = whatsapp
    text = {"type": "text", "text": {"body": "Hello"}}
    assert to_whatsapps_webhook(address, a_message("919812345671", "wamid.E", **text), secret="another") == 403
    assert provider.taken == []
    challenge = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert call(f"{address}/?{challenge}mine", None, {}) == (200, "1158201444")
    assert call(f"{address}/?{challenge}theirs", None, {})[0] == 403


# -- LINE -----------------------------------------------------------------------------------------------------------


def a_line_event(event_id: str, **said: Any) -> dict[str, Any]:
    source = {"type": "user", "userId": "U4af4980629"}
    return {
        "webhookEventId": event_id,
        "replyToken": f"r-{event_id}",
        "source": source,
        "timestamp": 1795312800000,
    } | said


def test_line_goes_from_a_message_over_a_quick_reply_to_the_next_answer(
    tmp_path: Path, served_shop: tuple[str, Workspace]
) -> None:
    provider = Line("channel-token")
    known = {"LINE_CHANNEL_ACCESS_TOKEN": "channel-token", "LINE_CHANNEL_SECRET": SECRET}

    def tell(*events: dict[str, Any], secret: str = SECRET) -> int:
        content = json.dumps({"destination": "U0", "events": events}).encode()
        signed = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()
        return call(address, content, {"X-Line-Signature": signed})[0]

    with (
        http_server(provider) as line,
        running(program("line", tmp_path), RAPPORT_URL=served_shop[0], LINE_URL=line, **known) as address,
    ):
        said = {"type": "message", "message": {"type": "text", "id": "1", "text": "สวัสดีค่ะ"}}
        assert tell(a_line_event("01FZ1", **said)) == 200
        (path, first) = provider.taken[0]
        action = first["messages"][-1]["quickReply"]["items"][0]["action"]
        assert tell(a_line_event("01FZ2", type="postback", postback={"data": action["data"]})) == 200
        assert tell(a_line_event("01FZ3", type="unfollow")) == 200
        assert tell(a_line_event("01FZ4", **said), secret="another") == 403
    assert path == "/v2/bot/message/reply"
    assert [body["replyToken"] for _, body in provider.taken] == ["r-01FZ1", "r-01FZ2"]
    assert {"sent", "replied"} <= outcomes_of(served_shop[0], "line-01FZ1")


# -- e-mail ---------------------------------------------------------------------------------------------------------


def test_letters_go_to_those_who_agreed_and_failures_come_back(
    tmp_path: Path, served_shop: tuple[str, Workspace]
) -> None:
    address, mailbox = served_shop[0], Mailbox()
    agreed = [
        {
            "type": "track",
            "messageId": f"mail-yes-{n}",
            "userId": f"mail-{n}",
            "event": "Consent Given",
            "properties": {"channel": "email"},
        }
        for n in range(12)
    ]
    status, _ = call(
        f"{address}/v1/batch", json.dumps({"batch": agreed}).encode(), {"Content-Type": "application/json"}
    )
    assert status == 202
    rows = [f"mail-{n},{'nobody' if n % 2 else 'asha'}-{n}@shop.example" for n in range(12)]
    rows.append("mail-never-asked,never@shop.example")
    with smtp_server(mailbox) as port:
        done = subprocess.run(
            [sys.executable, program("smtp", tmp_path)],
            input="\n".join(["customer_id,email", *rows]),
            env=os.environ
            | {"RAPPORT_URL": address, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port)}
            | {"CAMPAIGN": "week-48", "MAIL_FROM": "hello@aurelia.example"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = {line.split()[0]: line.split()[2] for line in done.stdout.splitlines()}
    assert "mail-never-asked" not in told
    assert set(told.values()) == {"sent", "failed"}
    assert {customer for customer, what in told.items() if what == "failed"} == {
        customer for customer in told if int(customer.split("-")[1]) % 2
    }
    letters = {recipient: letter for _, recipient, letter, _ in mailbox.letters}
    assert len(letters) == list(told.values()).count("sent")
    for customer, what in told.items():
        assert outcomes_of(address, f"week-48-{customer}") == {what}
        if what == "sent":
            letter = letters[f"asha-{customer.split('-')[1]}@shop.example"]
            assert letter["From"] == "hello@aurelia.example"
            assert letter["Subject"]
            html = letter.get_body(("html",))
            assert html is not None
            assert "<h1>" in html.get_content()
