"""How good a purchase is, from 0 to 1 (arXiv 2207.01206, section 3 and appendix on the reward).

    reward = r_type * (matched attributes + matched options + price is low enough) / (attributes + options + 1)

r_type is 0 where the titles share no content word, 0.1 where they share less than a tenth of the goal's, 0.5 where
they share at most a fifth and both query and category differ, else 1. Attributes match by a fuzzy ratio, options
exactly. The paper takes nouns for content words (by a tagger); here they are all words but stop words.
"""

from __future__ import annotations

from collections.abc import Collection

from paw_bench.envs.webshop.fuzzy import token_set_ratio
from paw_bench.envs.webshop.shop import Goal, Product

MATCH = 85.0
"""An attribute is matched where the fuzzy token-set ratio is above this."""
_STOP_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the", "to", "with")
)


def purchase_reward(goal: Goal, wanted: Product, bought: Product, chosen: Collection[str]) -> float:
    """Reward of buying `bought` with the `chosen` option values; `wanted` is the product the goal was made from."""
    matched = sum(_has(bought, attribute) for attribute in goal.attributes)
    matched += len(set(goal.options).intersection(chosen))
    matched += bought.price <= goal.max_price
    return type_reward(wanted, bought) * matched / (len(goal.attributes) + len(goal.options) + 1)


def type_reward(wanted: Product, bought: Product) -> float:
    """r_type: whether it is the right kind of thing."""
    content = _content_words(wanted.title)
    match = len(content & _content_words(bought.title)) / len(content) if content else 1.0
    if match == 0:
        return 0.0
    if match < 0.1:
        return 0.1
    same_category = wanted.path == bought.path or len(set(wanted.path) & set(bought.path)) >= 2
    if match <= 0.2 and wanted.query != bought.query and not same_category:
        return 0.5
    return 1.0


def _has(product: Product, attribute: str) -> bool:
    return any(token_set_ratio(attribute, own) > MATCH for own in product.attributes)


def _content_words(title: str) -> set[str]:
    found = ("".join(c if c.isalnum() else " " for c in title.lower())).split()
    return {word for word in found if word not in _STOP_WORDS}
