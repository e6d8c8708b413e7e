"""What every part of `brand.yaml` and `catalogue.yaml` is made of: frozen, strict, without unknown keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints


def _is_told_in_utc(instant: datetime) -> datetime:
    try:
        instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies before the year 1 or after the year 9999 by UTC, where nothing is reckoned") from None
    return instant


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$")]
Rate = Annotated[float, Field(ge=0.0, le=1.0)]
Instant = Annotated[AwareDatetime, AfterValidator(_is_told_in_utc)]
"""As it was told: 9999-12-31T23:59:59-05:00 can be written, and is no instant by UTC."""


class Part(BaseModel):
    """One part of a file that people write."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
