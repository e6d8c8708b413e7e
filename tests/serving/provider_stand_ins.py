"""Providers' own servers, as far as a sender meets them: WhatsApp's, LINE's and a mail server."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving.provider_rules import RefusedError, line_accepts, need, whatsapp_accepts

Answer = tuple[int, dict[str, Any], dict[str, str]]


@contextmanager
def http_server(answer: Callable[[str, Mapping[str, str], bytes], Answer]) -> Iterator[str]:
    """A real HTTP server on this machine for as long as the block lasts; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, told, headers = answer(self.path, dict(self.headers), content)
            said = json.dumps(told).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(said)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:  # the name of the method it overrides
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _running(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class WhatsApp:
    """The Cloud API: keeps what it took, and refuses the numbers in `limited` as the pair rate limit does."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.taken: list[dict[str, Any]] = []
        self.limited: set[str] = set()

    def __call__(self, path: str, headers: Mapping[str, str], content: bytes) -> Answer:
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"error": {"message": "Authentication Error", "code": 190}}, {}
        body = json.loads(content)
        try:
            need(re.fullmatch(r"/v[0-9]+\.0/[0-9]+/messages", path), path)
            whatsapp_accepts(body)
        except (RefusedError, KeyError, TypeError) as error:
            return 400, {"error": {"message": f"Invalid parameter: {error}", "code": 100}}, {}
        if body["to"] in self.limited:
            return 429, {"error": {"message": "(Business, consumer) pair rate limit hit", "code": 131056}}, {}
        self.taken.append(body)
        return 200, {"messaging_product": "whatsapp", "messages": [{"id": f"wamid.{len(self.taken)}"}]}, {}


class Line:
    """The Messaging API: keeps what it took with its path; a reply token serves once."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.taken: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, path: str, headers: Mapping[str, str], content: bytes) -> Answer:
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"message": "Authentication failed"}, {}
        body = json.loads(content)
        try:
            need(path in ("/v2/bot/message/push", "/v2/bot/message/reply"), path)
            need(("replyToken" in body) == path.endswith("reply"), "replyToken")
            line_accepts(body)
            used = {one.get("replyToken") for _, one in self.taken}
            need("replyToken" not in body or body["replyToken"] not in used, "Invalid reply token")
        except (RefusedError, KeyError, TypeError) as error:
            return 400, {"message": str(error)}, {}
        self.taken.append((path, body))
        return 200, {"sentMessages": [{"id": str(len(self.taken))}]}, {"X-Line-Request-Id": "r"}


class Mailbox:
    """A mail server: keeps each letter with its envelope, and knows no address that begins with `nobody`."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, str, EmailMessage, bytes]] = []


@contextmanager
def smtp_server(mailbox: Mailbox) -> Iterator[int]:
    """A real SMTP server (RFC 5321, as far as one sender needs) on this machine; its port."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 stand-in ready")
            sender = recipient = ""
            while line := self.rfile.readline().decode("ascii").strip():
                verb, _, rest = line.partition(" ")
                if verb.upper() in ("EHLO", "HELO", "RSET", "NOOP"):
                    self._say("250 ok")
                elif verb.upper() == "MAIL":
                    sender = rest
                    self._say("250 ok")
                elif verb.upper() == "RCPT":
                    recipient = re.findall(r"<(.*?)>", rest)[0]
                    self._say("550 5.1.1 no such user" if recipient.startswith("nobody") else "250 ok")
                elif verb.upper() == "DATA":
                    self._say("354 go on")
                    content = b"".join(iter(self.rfile.readline, b".\r\n"))
                    letter = message_from_bytes(content, policy=SMTP)
                    mailbox.letters.append((sender, recipient, letter, content))
                    self._say("250 taken")
                elif verb.upper() == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("502 not here")

        def _say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server, _running(server):
        yield int(server.server_address[1])
