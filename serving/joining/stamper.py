"""What one server stamps messages with: its secret, its public address, and where its redirect may lead."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from features.brand import Brand
from features.catalogue import Catalogue
from features.rendering import RenderedMessage
from serving.joining.hosts import link_hosts
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
    _of: tuple[Brand, Catalogue] | None = field(default=None, repr=False)
    _hosts: frozenset[str] = frozenset()

    def hosts(self, brand: Brand, catalogue: Catalogue) -> frozenset[str]:
        """Where the redirect may lead; found anew where the brand or its catalogue is another one."""
        if self._of is None or self._of[0] is not brand or self._of[1] is not catalogue:
            self._hosts, self._of = link_hosts(brand, catalogue), (brand, catalogue)
        return self._hosts

    def stamped(
        self, message: RenderedMessage, *, decision_id: str, slot: int, hosts: frozenset[str]
    ) -> RenderedMessage:
        """The message with the token of its decision wherever a customer may press."""
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
