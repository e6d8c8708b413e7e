"""What every part of `brand.yaml` and `catalogue.yaml` is made of: frozen, strict, without unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$")]
Rate = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """One part of a file that people write."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
