"""A shopper who reads pages, where `player.py` knows the product: it cannot see what features a product has.

It searches the kind and attributes that the instruction names, opens the first result of that kind that is not too
expensive, chooses the options, and buys. From a product that costs too much it goes back; where nothing of the kind was
found, it searches again. Its next action follows from the instruction and the page that it sees, and nothing before.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from paw_bench.envs.webshop.environment import BACK, BUY, NEXT, PREVIOUS

_WISH = re.compile(
    r"\ban? (?P<what>[^,]+?) that is (?P<attributes>[^,]+)(?P<options>(?:, [^,]+)*?), "
    r"and price lower than (?P<limit>[\d.]+)"
)
_RESULT = re.compile(r"(?P<asin>[A-Z0-9]{10}) \[SEP\] (?P<title>.+?) \[SEP\] \$(?P<price>[\d.]+)")
_PRICE = re.compile(r"Price: \$([\d.]+)")


@dataclass(slots=True)
class Shopper:
    """Buys what an instruction asks for, as far as pages tell."""

    kind: str
    """What kind of thing is asked for."""
    attributes: str
    options: tuple[str, ...]
    """Values asked for."""
    limit: float
    """In dollars."""
    page: str = ""
    """What it sees."""

    @classmethod
    def start(cls, instruction: str) -> Shopper:
        """Understand an instruction of the generated shop; ValueError for another one."""
        wish = _WISH.search(instruction)
        if wish is None:
            raise ValueError(f"no instruction of the generated shop: {instruction!r}")
        asked = wish["options"].removeprefix(", ").split(", ") if wish["options"] else []
        attributes = wish["attributes"].replace(" and ", " ")
        options = tuple(one.split(" ", 1)[1] for one in asked)
        return cls(wish["what"], attributes, options, float(wish["limit"]))

    @property
    def query(self) -> str:
        """What it searches."""
        return f"{self.kind} {self.attributes}"

    def choices(self, admissible: tuple[str, ...]) -> tuple[str, ...]:
        """The one next search or click."""
        if admissible[0].startswith("search["):
            return (f"search[{self.query}]",)
        return (f"click[{self._click({action[6:-1] for action in admissible})}]",)

    def _click(self, offered: set[str]) -> str:
        if BUY in offered:
            return self._on_product(offered)
        results = list(_RESULT.finditer(self.page))
        if not results:
            return PREVIOUS if PREVIOUS in offered else BACK
        if not any(self.kind in result["title"].lower() for result in results):
            return BACK
        fitting = [result for result in results if self._fits(result)]
        return fitting[0]["asin"].lower() if fitting else NEXT if NEXT in offered else BACK

    def _fits(self, result: re.Match[str]) -> bool:
        return self.kind in result["title"].lower() and float(result["price"]) <= self.limit

    def _on_product(self, offered: set[str]) -> str:
        price = _PRICE.search(self.page)
        if price is not None and float(price[1]) > self.limit:
            return PREVIOUS
        chosen = set(re.findall(r": ([^\[]+?) \[SEP\]", self.page))
        return next((value for value in self.options if value in offered - chosen), BUY)

    def read(self, action: str, observation: str) -> None:
        """Turn the page."""
        self.page = observation

    def slips(self, rng: random.Random) -> tuple[str, ...]:
        """Searching and clicking what another page offers."""
        return (f"search[{self.query}]", f"click[{BUY}]", *(f"click[{value}]" for value in self.options))
