"""Clients that load a server which dies under them; what has no answer is sent again, as it was, until it has."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

KINDS = ("events", "decisions", "outcomes")
EVENTS_IN_A_BATCH = 10
CUSTOMERS = 200
_PAUSE_SECONDS = 0.05
_HOPELESS = range(400, 429)  # the server says that the client is wrong, which it is not


@dataclass(frozen=True, slots=True)
class Sent:
    """One request, the same however often it is sent."""

    kind: str
    path: str
    body: bytes
    ids: tuple[str, ...]


@dataclass(slots=True)
class Book:
    """What the server has acknowledged, as its clients saw it."""

    acknowledged: dict[str, dict[str, object]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    faults: list[str] = field(default_factory=list)
    n_unanswered: int = 0
    n_refused_for_now: int = 0
    last_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, kind: str, told: Mapping[str, object]) -> None:
        """Ids that were answered, with what was said of each."""
        with self._lock:
            again = told.keys() & self.acknowledged[kind].keys()
            self.faults += [f"{kind}: {one} was acknowledged to two requests" for one in again]
            self.acknowledged[kind].update(told)
            self.last_at = time.monotonic()

    def no_answer(self) -> None:
        """A request whose answer never came."""
        with self._lock:
            self.n_unanswered += 1

    def not_now(self) -> None:
        """A request that was answered 429, 503 or 504."""
        with self._lock:
            self.n_refused_for_now += 1

    def fault(self, what: str) -> None:
        """Something that may not be."""
        with self._lock:
            self.faults.append(what)

    def counts(self) -> dict[str, int]:
        """How many ids of each kind were acknowledged so far."""
        with self._lock:
            return {kind: len(self.acknowledged[kind]) for kind in KINDS}

    def ids(self) -> dict[str, set[str]]:
        """The acknowledged ids of each kind."""
        with self._lock:
            return {kind: set(self.acknowledged[kind]) for kind in KINDS}


class Client(threading.Thread):
    """Asks one thing after the other until it is told to finish; what it has in hand then is still sent to its end."""

    def __init__(self, port: int, book: Book, *, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self._port, self._book = port, book
        self._random = random.Random(seed)
        self._n = 0
        self._decided: list[str] = []
        self._finishing = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        """No new requests from now on."""
        self._finishing.set()

    def run(self) -> None:
        """Until `finish`."""
        while not self._finishing.is_set():
            sent = self._next()
            while not self._is_answered(sent):
                time.sleep(_PAUSE_SECONDS)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _next(self) -> Sent:
        kind = self._random.choice(KINDS if self._decided else KINDS[:2])
        self._n += 1
        made = {"events": self._events, "decisions": self._decision, "outcomes": self._outcome}[kind]
        return made(f"{self.name}-{self._n}", f"c-{self._random.randrange(CUSTOMERS)}")

    def _events(self, one_id: str, customer: str) -> Sent:
        ids = tuple(f"m-{one_id}-{position}" for position in range(EVENTS_IN_A_BATCH))
        view = {"type": "track", "event": "Product Viewed", "userId": customer, "properties": {"product_id": "p-1"}}
        return _sent("events", "/v1/batch", {"batch": [view | {"messageId": one} for one in ids]}, ids)

    def _decision(self, one_id: str, customer: str) -> Sent:
        decision_id = f"d-{one_id}"
        asked = {"customer_id": customer, "placement": "chat_reply", "channel": "web", "decision_id": decision_id}
        return _sent("decisions", "/v1/decisions", asked, (decision_id,))

    def _outcome(self, one_id: str, customer: str) -> Sent:
        outcome_id = f"o-{one_id}"
        decision_id = self._random.choice(self._decided[-20:])
        told = {"decision_id": decision_id, "outcome": "converted", "outcome_id": outcome_id, "value": 9.5}
        return _sent("outcomes", "/v1/outcomes", told, (outcome_id,))

    def _is_answered(self, sent: Sent) -> bool:
        try:
            status, content = self._post(sent)
        except (OSError, http.client.HTTPException):
            self._book.no_answer()
            self._hang_up()
            return False
        if status in _HOPELESS:
            self._book.fault(f"{sent.ids[0]} was answered {status}: {content[:300]!r}")
            return True
        if status >= 400:
            self._book.not_now()
            return False
        self._book.acknowledge(sent.kind, self._told(sent, json.loads(content)))
        return True

    def _post(self, sent: Sent) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        self._connection.request("POST", sent.path, sent.body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _told(self, sent: Sent, answer: Mapping[str, object]) -> dict[str, object]:
        if sent.kind == "decisions":
            self._decided.append(sent.ids[0])
            action = answer["action"]
            return {sent.ids[0]: action["id"] if isinstance(action, dict) else None}
        if sent.kind == "outcomes":
            return {sent.ids[0]: answer["status"]}
        verdicts = answer["events"]
        told = {one["messageId"]: one["status"] for one in verdicts} if isinstance(verdicts, list) else {}
        for one in sent.ids:
            if told.get(one) not in ("accepted", "duplicate"):
                self._book.fault(f"{one} has the verdict {told.get(one)!r}")
        return told


def _sent(kind: str, path: str, body: object, ids: tuple[str, ...]) -> Sent:
    return Sent(kind, path, json.dumps(body).encode(), ids)
