"""What one server stamps messages with: its secret and its public address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from features.rendering import RenderedMessage
from serving.joining.stamping import stamp
from serving.joining.tokens import TokenMint, open_mint


@dataclass(slots=True)
class Stamper:
    """Stamps the messages of one engine.

    Attributes:
        mint: makes and reads its tokens.
        public_url: where customers reach this server; None where they do not.
    """

    mint: TokenMint
    public_url: str | None = None

    def stamped(
        self, message: RenderedMessage, *, decision_id: str, slot: int, hosts: frozenset[str]
    ) -> RenderedMessage:
        """The message with the token of its decision wherever a customer may press; `hosts` are the redirect's."""
        return stamp(
            message, decision_id=decision_id, slot=slot, mint=self.mint, public_url=self.public_url, hosts=hosts
        )


def open_stamper(state: Path, *, secret: str | None = None, public_url: str | None = None) -> Stamper:
    """The stamper of a workspace.

    Args:
        state: the workspace's folder of databases, where its secret is kept.
        secret: $RAPPORT_TOKEN_SECRET, where it is set.
        public_url: $RAPPORT_PUBLIC_URL, where it is set.

    Raises:
        CallersMistake: the secret can be guessed.
    """
    return Stamper(open_mint(state, secret=secret), public_url)
