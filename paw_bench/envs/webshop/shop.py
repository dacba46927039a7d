"""What a shop holds: products, and goals that name what a customer wants of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """One product page. Prices are in dollars; option values are lower-case and differ within a product."""

    asin: str
    title: str
    category: str
    """One of a handful: beauty, electronics, fashion, garden, grocery. The task type of its goals."""
    query: str
    """What kind of thing it is, as one would search for it."""
    path: tuple[str, ...]
    """The department and its parts, outermost first."""
    price: float
    attributes: tuple[str, ...]
    """What it is said to be; not shown as such, its features and description tell of them."""
    options: Mapping[str, tuple[str, ...]]
    """Name of a choice -> its values."""
    features: tuple[str, ...]
    description: str
    reviews: tuple[str, ...] = ()
    rating: float | None = None

    @property
    def text(self) -> str:
        """What the search engine indexes."""
        return " ".join((self.title, self.query, *self.features, self.description))


@dataclass(frozen=True, slots=True)
class Goal:
    """What a customer wants: the instruction, and what of the bought product is rewarded."""

    asin: str
    """The product that the goal was made from; another one that fits as well is as good."""
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    max_price: float


@dataclass(frozen=True, slots=True)
class Shop:
    """A catalogue and its goals. Goals 0 to 499 are held for testing."""

    products: Mapping[str, Product]
    """By id (upper-case), in the catalogue's order."""
    goals: tuple[Goal, ...]
    digest: str
    """SHA-256 over all products."""
