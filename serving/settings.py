"""What one serving process is told from outside: argument, environment (`RAPPORT_…`), default, in this order."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from features.faults import CallersMistake, closest_name
from serving.ingest.instants import DAY_US, SECOND_US, Limits
from serving.ingest.keeping import Kept
from serving.keys.loopback import is_loopback

PREFIX = "RAPPORT_"
FIRST_YEAR, LAST_YEAR = 1970, 2200


def _in_utc(instant: datetime) -> datetime:
    """An instant without a zone is taken as UTC, as with --as-of elsewhere."""
    if not FIRST_YEAR < instant.year < LAST_YEAR:  # one decision outside, and no frame of the log can be read
        raise ValueError(f"lies between the years {FIRST_YEAR} and {LAST_YEAR}")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _address(url: str) -> str:
    """The address of a server, without the slash at its end."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", url):
        raise ValueError("must be an address such as https://r.example.com, without a query")
    return url.rstrip("/")


class Settings(BaseSettings):
    """Read once at the edge, then passed on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    workspace: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 3000
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    body_limit_bytes: Annotated[int, Field(ge=1_024)] = 560_000  # a full batch of Segment's clients
    model_check_seconds: Annotated[float, Field(gt=0)] = 1.0
    timeout_seconds: Annotated[int, Field(ge=1)] = 2
    graceful_seconds: Annotated[int, Field(ge=1)] = 10
    keys: Literal["auto", "required"] = "auto"
    ingest_past_days: Annotated[float, Field(gt=0, le=36_500)] = 730.0
    ingest_future_seconds: Annotated[float, Field(ge=0, le=86_400)] = 3_600.0
    dead_letters_most: Annotated[int, Field(ge=1)] = 100_000
    dead_letters_days: Annotated[float, Field(gt=0, le=36_500)] = 90.0
    clock: Annotated[datetime, AfterValidator(_in_utc)] | None = None
    public_url: Annotated[str, AfterValidator(_address)] | None = None  # where customers reach this server
    token_secret: str | None = Field(None, repr=False)

    @property
    def needs_keys(self) -> bool:
        """Whether every request has to present a key: others than this machine may ask, or it was told so."""
        return self.keys == "required" or not is_loopback(self.host)

    @property
    def ingest_limits(self) -> Limits:
        """How far from its arrival a live event may have happened."""
        return Limits(int(self.ingest_past_days * DAY_US), int(self.ingest_future_seconds * SECOND_US))

    @property
    def dead_letters_kept(self) -> Kept:
        """How many dead letters are kept, and for how long."""
        return Kept(self.dead_letters_most, int(self.dead_letters_days * DAY_US))


def read_settings(**arguments: object) -> Settings:
    """The settings of this process.

    Args:
        **arguments: those that were given on the command line; None for the others.

    Raises:
        CallersMistake: a value is wrong, or the environment names a setting that does not exist.
    """
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    strangers = [name for name in os.environ if name.startswith(PREFIX) and name not in names]
    if strangers:
        closest = closest_name(strangers[0], names)
        hint = f" Closest: {closest}." if closest else ""
        raise CallersMistake(
            f"The environment sets {strangers[0]}, which is no setting of Rapport.{hint} "
            f"There are: {', '.join(sorted(names))}."
        )
    try:
        return Settings(**{name: value for name, value in arguments.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        name = str(wrong["loc"][0])
        raise CallersMistake(
            f"Asked for {name} = {wrong['input']!r}: {wrong['msg']}. "
            f"Set it with --{name.replace('_', '-')} or {PREFIX}{name.upper()}."
        ) from None
