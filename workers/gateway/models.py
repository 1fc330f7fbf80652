"""What an order over HTTP has to look like."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=64)]


class ItemIn(BaseModel):
    """One line of an order; the price is for one piece."""

    model_config = ConfigDict(extra="forbid")

    sku: Name
    quantity: Annotated[int, Field(ge=1, le=1000)]
    price_cents: Annotated[int, Field(ge=0, le=10_000_000)]


class OrderIn(BaseModel):
    """An order as a customer sends it; its id is the gateway's to give."""

    model_config = ConfigDict(extra="forbid")

    customer: Name
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=50)]
