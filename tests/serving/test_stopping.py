"""A server that is stopped while its clients go on asking: everybody is answered, and it ends."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

from features.workspace import Workspace
from tests.serving.conftest import served

BODY = json.dumps({"customer_id": "asha", "placement": "chat_reply", "channel": "web"})


class Client(threading.Thread):
    """Asks over one connection until it is told that an answer was the last one there, or is cut off."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        place = urlsplit(address)
        self._connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        self.n_answered, self.end = 0, ""

    def run(self) -> None:
        try:
            while not self.end:
                self._connection.request("POST", "/v1/decisions", BODY, {"content-type": "application/json"})
                answer = self._connection.getresponse()
                answer.read()
                self.n_answered += answer.status == 200
                self.end = "told" if answer.will_close else ""
        except (OSError, http.client.HTTPException) as fault:
            self.end = f"cut off: {fault!r}"


def test_busy_clients_are_told_that_an_answer_is_the_last_one(shop: Workspace) -> None:
    with ExitStack() as until_stopped:
        address = until_stopped.enter_context(served(shop))
        clients = [Client(address) for _ in range(8)]
        for client in clients:
            client.start()
        wait(lambda: all(client.n_answered >= 5 for client in clients))
        began = time.monotonic()
    took = time.monotonic() - began
    for client in clients:
        client.join(timeout=60)
    assert [client.end for client in clients] == ["told"] * len(clients)
    assert took < 30  # as long as the fixture waits before it kills


def wait(for_what: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not for_what() and time.monotonic() < until:
        time.sleep(0.02)
    assert for_what()
