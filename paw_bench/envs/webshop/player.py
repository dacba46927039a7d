"""A customer who knows the product that a goal was made from, finds it by its title and takes the options asked for."""

from __future__ import annotations

from paw_bench.envs.webshop.shop import Goal, Shop

_BACK, _PREVIOUS, _NEXT, _BUY = "click[back to search]", "click[< prev]", "click[next >]", "click[buy now]"


class Customer:
    """Buys the product of `goal`, from wherever it finds itself."""

    def __init__(self, shop: Shop, goal: Goal) -> None:
        self._product = shop.products[goal.asin]
        self._goal = goal
        self._target = f"click[{goal.asin.lower()}]"
        self._others = {f"click[{asin.lower()}]" for asin in shop.products}
        self._here = False
        self._chosen: dict[str, str] = {}

    def choices(self, admissible: tuple[str, ...]) -> tuple[str, ...]:
        """The one next click, or the search for the product's title."""
        if admissible and admissible[0].startswith("search["):
            return (f"search[{self._product.title}]",)
        if _BUY not in admissible:
            return (self._on_the_way(admissible),)
        if not self._here:
            return (_BACK,)
        for value in self._goal.options:
            if value not in self._chosen.values() and f"click[{value}]" in admissible:
                return (f"click[{value}]",)
        return (_BUY,)

    def _on_the_way(self, admissible: tuple[str, ...]) -> str:
        if self._target in admissible:
            return self._target
        if _NEXT in admissible:
            return _NEXT
        return _PREVIOUS if admissible == (_BACK, _PREVIOUS) else _BACK

    def read(self, action: str, observation: str) -> None:
        """Keep track of the page and of the chosen options."""
        if action in self._others:
            self._here, self._chosen = action == self._target, {}
        value = action.removeprefix("click[").removesuffix("]")
        for name, values in self._product.options.items():
            if self._here and value in values:
                self._chosen[name] = value
