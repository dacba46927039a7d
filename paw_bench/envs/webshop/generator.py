"""A catalogue made from a seed, full of near misses.

Products come in families of one kind. A family's members have nearly the same title, features and attributes, and
differ where it matters: an attribute less, an option value that is not there, a price that is too high. Titles of
expensive members are stuffed with the very words that customers use, and their descriptions tell of the seller's other
products; those of others keep quiet about what they are. So the first hit of a search for the instruction is seldom
what was asked for. Ids, brands and model codes are noise that no model can predict.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from paw_bench.envs.webshop.shop import Goal, Product, Shop

VERSION = 1
"""Counted up whenever the same seed gives another shop."""
FAMILY = 8
_LADDER = (*range(5, 60, 5), *range(60, 200, 20), *range(200, 1001, 50))
"""Price limits that customers name."""
_SYLLABLES = ("vo", "ze", "ka", "ri", "lux", "tor", "nex", "mi", "bra", "quo", "fen", "dal", "su", "pyr", "jin", "ota")
_ASKS = (
    "i am looking for {what}",
    "i need {what}",
    "find me {what}",
    "i would like {what}",
    "i want to buy {what}",
)
_FILLERS = ("upgraded", "premium", "2 in 1", "best gift", "new", "professional", "classic", "for everyday use")


@dataclass(frozen=True, slots=True)
class _Kind:
    category: str
    query: str
    path: tuple[str, ...]
    price: tuple[float, float]
    options: dict[str, list[str]]
    attributes: list[str]


def generate(seed: int, products: int, goals: int) -> Shop:
    """A shop of `products` products and at least `goals` goals. More goals never change the first ones."""
    catalogue: dict[str, Product] = {}
    kinds = _kinds()
    family = 0
    while len(catalogue) < products:
        kind = kinds[family % len(kinds)]
        rng = random.Random(f"webshop/{VERSION}/{seed}/family/{family}")
        core = rng.sample(kind.attributes, 5)
        for member in range(FAMILY):
            product = _member(rng, kind, core, member)
            catalogue.setdefault(product.asin, product)
        family += 1
    kept = dict(list(catalogue.items())[:products])
    digest = hashlib.sha256(json.dumps([asdict(product) for product in kept.values()]).encode()).hexdigest()
    return Shop(kept, _goals(seed, list(kept.values()), goals), digest)


@cache
def _kinds() -> list[_Kind]:
    goods: dict[str, Any] = yaml.safe_load(files("paw_bench.envs.webshop").joinpath("goods.yaml").read_text("utf-8"))
    return [
        _Kind(
            kind["category"],
            kind["query"],
            tuple(kind["path"]),
            tuple(kind["price"]),
            {name: goods["values"][values] for name, values in kind["options"].items()},
            goods["attributes"][kind["category"]],
        )
        for kind in goods["kinds"]
    ]


def _member(rng: random.Random, kind: _Kind, core: list[str], member: int) -> Product:
    """A member of the family whose attributes are `core`; all of a family draw from one generator, in order."""
    # Each member lacks one of the family's attributes and has one that most others do not have.
    missing = core[member % len(core)]
    others = [name for name in kind.attributes if name not in core]
    attributes = [name for name in core if name != missing] + [rng.choice(others)]
    stuffed = member % 2 == 0
    low, high = kind.price
    share = rng.uniform(0.55, 1.0) if stuffed else rng.uniform(0.0, 0.5)
    price = round(low + (high - low) * share) - rng.choice((0.01, 0.05, 0.51))
    options = {
        name: tuple(value for value in values if rng.random() < 0.6) or (rng.choice(values),)
        for name, values in kind.options.items()
    }
    brand = "".join(rng.sample(_SYLLABLES, rng.randint(2, 3))).capitalize()
    code = "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(4, 7)))
    told = attributes[:4] if stuffed else rng.sample(core, 1)
    value = rng.choice(rng.choice(list(options.values())))
    parts = [brand, kind.query.title(), *(name.title() for name in told), rng.choice(_FILLERS).title(), f"({value})"]
    if rng.random() < 0.5:
        parts.append(code)
    return Product(
        asin="B0" + "".join(rng.choices(string.ascii_uppercase + string.digits, k=8)),
        title=" ".join(parts),
        category=kind.category,
        query=kind.query,
        path=kind.path,
        price=max(1.49, price),
        attributes=tuple(attributes),
        options=options,
        features=tuple(f"{name.capitalize()}: {_praise(rng)}" for name in rng.sample(attributes, len(attributes))),
        description=(
            f"The {brand} {kind.query} {code}. {_praise(rng).capitalize()}." + (_decoys(rng, kind) if stuffed else "")
        ),
        reviews=tuple(f"{rng.randint(1, 5)} stars. {_praise(rng).capitalize()}." for _ in range(rng.randint(0, 3))),
        rating=rng.randint(25, 50) / 10,
    )


def _decoys(rng: random.Random, kind: _Kind) -> str:
    """Other things that the seller has: words that a search finds, and that are not true of the product itself."""
    others = rng.sample(kind.attributes, 7)
    values = [rng.choice(values) for values in kind.options.values()]
    return "".join(f" See also our {name} {kind.query} in {rng.choice(values)}." for name in others)


def _praise(rng: random.Random) -> str:
    first = ("made to last", "just as it should be", "tested in our own lab", "loved by many", "as good as it looks")
    second = ("day after day", "at home and on the road", "for the whole family", "year after year", "with care")
    return f"{rng.choice(first)}, {rng.choice(second)}"


def _goals(seed: int, products: list[Product], count: int) -> tuple[Goal, ...]:
    categories = sorted({product.category for product in products})
    by_category = [[product for product in products if product.category == category] for category in categories]
    goals: list[Goal] = []
    seen: set[tuple[Any, ...]] = set()
    attempt = 0
    while len(goals) < count:
        rng = random.Random(f"webshop/{VERSION}/{seed}/goal/{attempt}")
        attempt += 1
        # Categories take turns, so that any number of goals holds all of them about equally.
        goal = _goal(rng, rng.choice(by_category[len(goals) % len(by_category)]))
        key = (goal.asin, frozenset(goal.attributes), goal.options)
        if key not in seen:
            seen.add(key)
            goals.append(goal)
    return tuple(goals)


def _goal(rng: random.Random, product: Product) -> Goal:
    attributes = tuple(rng.sample(product.attributes, rng.choice((1, 2, 2, 3))))
    names = [name for name, values in product.options.items() if len(values) > 1]
    wanted = {name: rng.choice(product.options[name]) for name in product.options if name in names}
    limits = [limit for limit in _LADDER if limit > product.price]
    limit = float(rng.choice(limits[:2]))
    parts = [f"a {product.query} that is {' and '.join(attributes)}"]
    parts += [f"{name} {value}" for name, value in wanted.items()]
    text = rng.choice(_ASKS).format(what=", ".join(parts))
    return Goal(
        asin=product.asin,
        instruction=f"{text}, and price lower than {limit:.2f} dollars",
        attributes=attributes,
        options=tuple(wanted.values()),
        max_price=limit,
    )
