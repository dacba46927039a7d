"""The shop's pages, and what a search or a click does on them (arXiv 2207.01206, section 3).

    search page   -> search[words]
    results       -> click[id], click[next >], click[< prev], click[back to search]; 50 hits, 10 a page by default
    product       -> click[an option value], click[description | features | reviews], click[buy now], click[< prev], ...
    details       -> click[< prev], click[back to search]

Buying ends the episode, and so does the last turn. The instruction stands on the first page only: prompts repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.bm25 import Index
from paw_bench.envs.protocol import StepResult, Task
from paw_bench.envs.webshop.reward import purchase_reward
from paw_bench.envs.webshop.shop import Product, Shop
from paw_bench.envs.words import bracketed

HITS = 50
SEARCH, BACK, PREVIOUS, NEXT, BUY = "search[<your query>]", "back to search", "< prev", "next >", "buy now"
DETAILS = ("description", "features", "reviews")
_SEPARATOR = " [SEP] "


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown, and what can be clicked there."""

    text: str
    admissible: tuple[str, ...]


class Browser:
    """The pages of one shop, for all episodes of a process."""

    def __init__(self, shop: Shop, page: int = 10) -> None:
        self.shop = shop
        self._page = page
        self.products = list(shop.products.values())
        self._index = Index([product.text for product in self.products])
        self.by_action = {product.asin.lower(): product for product in self.products}
        self.find = lru_cache(maxsize=20_000)(self._find)
        self.results = lru_cache(maxsize=20_000)(self._results)
        self.item = lru_cache(maxsize=20_000)(self._item)

    def _find(self, query: str) -> tuple[int, ...]:
        return tuple(self._index.top(query, HITS))

    def _results(self, hits: tuple[int, ...], page: int) -> Page:
        shown = [self.products[hit] for hit in hits[page * self._page : (page + 1) * self._page]]
        moves = [NEXT] if (page + 1) * self._page < len(hits) else []
        moves += [PREVIOUS] if page else []
        parts = ["Back to Search", f"Page {page + 1} (Total results: {len(hits)})", *(move.title() for move in moves)]
        for product in shown:
            parts += [product.asin, product.title, _dollars(product.price)]
        return _page(parts, [BACK, *moves, *(product.asin.lower() for product in shown)])

    def _item(self, asin: str, chosen: tuple[tuple[str, str], ...]) -> Page:
        product, picked = self.shop.products[asin], dict(chosen)
        parts = ["Back to Search", "< Prev"]
        for name, values in product.options.items():
            parts += [name + (f": {picked[name]}" if name in picked else ""), *values]
        rating = "N.A." if product.rating is None else f"{product.rating:.1f}"
        parts += [product.title, f"Price: {_dollars(product.price)}", f"Rating: {rating}"]
        parts += ["Description", "Features", "Reviews", "Buy Now"]
        offered = [value for values in product.options.values() for value in values]
        return _page(parts, [BACK, PREVIOUS, *offered, *DETAILS, BUY])

    def details(self, product: Product, which: str) -> Page:
        """One of the pages behind a product."""
        told = {"description": (product.description,), "features": product.features, "reviews": product.reviews}[which]
        return _page(["Back to Search", "< Prev", *(told or (f"No {which}.",))], [BACK, PREVIOUS])


@dataclass(slots=True)
class _Visit:
    """Where an episode is."""

    page: Page
    hits: tuple[int, ...] = ()
    number: int = 0
    """Of the page of results."""
    product: Product | None = None
    chosen: dict[str, str] = field(default_factory=dict)
    detail: bool = False


class WebshopEnvironment:
    """One episode at a time. Deterministic in (task, actions). The task's location is the number of its goal.

    Actions are lower-cased and their white space is collapsed; an action that the page does not offer takes a turn and
    shows the page again.
    """

    def __init__(self, config: EnvironmentConfig, browser: Browser) -> None:
        self._config = config
        self._browser = browser
        self._turns = 0
        self._done = True

    def reset(self, task: Task, seed: int) -> StepResult:
        """Open the shop for the goal of `task`."""
        self._goal = self._browser.shop.goals[int(task.location)]
        self._turns = 0
        start = f"WebShop [SEP] Instruction: [SEP] {self._goal.instruction} [SEP] Search"
        self._visit = _Visit(Page(start, (SEARCH,)))
        return self._result(accepted=True)

    def step(self, action: str) -> StepResult:
        """Play one action; RuntimeError when the episode is over."""
        if self._done:
            raise RuntimeError("the episode is over: reset first")
        self._turns += 1
        name, what = bracketed(action)
        visit = self._visit
        if name == "search" and visit.page.admissible == (SEARCH,):
            self._visit = self._results(self._browser.find(what[:400]), 0)
            return self._result(accepted=True)
        if name != "click" or f"click[{what}]" not in visit.page.admissible:
            return self._result(accepted=False)
        if what == BUY:
            return self._bought(visit)
        self._visit = self._clicked(visit, what)
        return self._result(accepted=True)

    def close(self) -> None:
        """Nothing to free: pages belong to the process."""

    def _clicked(self, visit: _Visit, what: str) -> _Visit:
        product = visit.product
        if what == BACK:
            return _Visit(Page("WebShop [SEP] Search", (SEARCH,)))
        if product is None:
            if what in (NEXT, PREVIOUS):
                return self._results(visit.hits, visit.number + (1 if what == NEXT else -1))
            return self._shown(visit, self._browser.by_action[what], {})
        if what == PREVIOUS:
            return (
                self._shown(visit, product, visit.chosen) if visit.detail else self._results(visit.hits, visit.number)
            )
        name = next((name for name, values in product.options.items() if what in values), None)
        if name is not None:
            return self._shown(visit, product, {**visit.chosen, name: what})
        page = self._browser.details(product, what)
        return _Visit(page, visit.hits, visit.number, product, visit.chosen, detail=True)

    def _results(self, hits: tuple[int, ...], number: int) -> _Visit:
        return _Visit(self._browser.results(hits, number), hits, number)

    def _shown(self, visit: _Visit, product: Product, chosen: dict[str, str]) -> _Visit:
        page = self._browser.item(product.asin, tuple(sorted(chosen.items())))
        return _Visit(page, visit.hits, visit.number, product, chosen)

    def _bought(self, visit: _Visit) -> StepResult:
        assert visit.product is not None
        wanted = self._browser.shop.products[self._goal.asin]
        score = purchase_reward(self._goal, wanted, visit.product, visit.chosen.values())
        self._visit = _Visit(Page("Thank you for shopping with us!", ()))
        return self._result(accepted=True, score=score)

    def _result(self, *, accepted: bool, score: float | None = None) -> StepResult:
        self._done = score is not None or self._turns >= self._config.max_turns
        success = score == 1.0
        return StepResult(
            observation=self._visit.page.text,
            admissible=self._visit.page.admissible,
            reward=self._config.success_reward if success else 0.0,
            done=self._done,
            success=success,
            accepted=accepted,
            score=(score or 0.0) if self._done else None,
        )


def _page(parts: list[str], clickable: list[str]) -> Page:
    return Page(_SEPARATOR.join(parts), tuple(f"click[{what}]" for what in clickable))


def _dollars(price: float) -> str:
    return f"${price:.2f}"
