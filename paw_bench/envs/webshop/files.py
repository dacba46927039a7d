"""The original products and goals, where the user has them: `$WEBSHOP_DATA` names the folder.

    items_shuffle.json (or items_shuffle_1000.json)   list of products: asin, name, category, query, product_category
                                                      (split by U+203A), pricing ("$12.99$15.00"),
                                                      small_description (list), full_description,
                                                      customization_options {name: [{value}, ...]}
    items_ins_v2.json (or items_ins_v2_1000.json)     {asin: {attributes: [...]}}
    goals.json, or items_human_ins.json               the goals

`goals.json` is a list of goals in the order of the benchmark, so that its first 500 are the test goals: asin,
instruction_text, attributes, goal_options (list, or {name: value}), price_upper. `items_human_ins.json` ({asin: [{asin,
instruction, instruction_attributes, instruction_options}, ...]}) names no order and no price limits: goals are then
ordered by the SHA-256 of their instruction and get a limit above the price, so the test goals are not the benchmark's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from paw_bench.envs.data_folder import data_folder
from paw_bench.envs.webshop.shop import Goal, Product, Shop
from paw_bench.errors import UserError

VARIABLE = "WEBSHOP_DATA"
PRODUCTS = ("items_shuffle.json", "items_shuffle_1000.json")
ATTRIBUTES = ("items_ins_v2.json", "items_ins_v2_1000.json")
GOALS = ("goals.json", "items_human_ins.json")
_REMEDY = f"set {VARIABLE} to the folder of the original files, or use options.source: generated"
_LADDER = (*range(10, 100, 10), *range(100, 1000, 100), *range(1000, 10_001, 1000))


def data_root() -> Path:
    """The folder of the original files. Raises UserError where it is not there."""
    return data_folder(VARIABLE, _REMEDY)


def lacking(root: Path) -> str:
    """What the folder has not, in words; an empty text where nothing is missing."""
    absent = (names for names in (PRODUCTS, ATTRIBUTES, GOALS) if not any((root / name).is_file() for name in names))
    return next((f"has none of {', '.join(names)}" for names in absent), "")


def load_shop(root: Path) -> Shop:
    """The shop of the original files. Raises UserError for a file that is missing or not as described above."""
    listed, attributes, goals = (_read(root, names) for names in (PRODUCTS, ATTRIBUTES, GOALS))
    digest = hashlib.sha256(b"".join(content for _, content, _ in (listed, attributes))).hexdigest()
    try:
        said = {
            asin: tuple(_plain(attribute) for attribute in (entry or {}).get("attributes") or ())
            for asin, entry in attributes[2].items()
        }
    except (TypeError, AttributeError) as error:
        raise _bad(attributes[0], error) from error
    try:
        products = {entry["asin"].upper(): _product(entry, said.get(entry["asin"], ())) for entry in listed[2]}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _bad(listed[0], error) from error
    try:
        made = _benchmark_goals(goals[2]) if isinstance(goals[2], list) else _human_goals(goals[2], products)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _bad(goals[0], error) from error
    return Shop(products, tuple(goal for goal in made if goal.asin in products), digest)


def _bad(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: an entry is not as expected ({type(error).__name__}: {error})", "see docs/environments.md"
    )


def _read(root: Path, names: Iterable[str]) -> tuple[Path, bytes, Any]:
    path = next((root / name for name in names if (root / name).is_file()), None)
    if path is None:
        raise UserError(f"{root}: has none of {', '.join(names)}", _REMEDY)
    try:
        content = path.read_bytes()
        return path, content, orjson.loads(content)
    except (OSError, orjson.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})", "download it again") from error


def _product(entry: Mapping[str, Any], attributes: tuple[str, ...]) -> Product:
    prices = [float(price) for price in re.findall(r"\d+(?:\.\d+)?", str(entry.get("pricing") or "").replace(",", ""))]
    options: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for name, values in (entry.get("customization_options") or {}).items():
        texts = dict.fromkeys(_plain(value["value"]) for value in values or ())
        options[_plain(name)] = tuple(text for text in texts if text and text not in taken)
        taken.update(texts)
    bullets = entry.get("small_description") or ()
    return Product(
        asin=entry["asin"].upper(),
        title=" ".join(str(entry["name"]).split()),
        category=str(entry.get("category") or "other"),
        query=_plain(entry.get("query") or ""),
        path=tuple(part.strip() for part in str(entry.get("product_category") or "").split("\u203a") if part.strip()),
        price=prices[0] if prices else 100.0,
        attributes=attributes,
        options={name: values for name, values in options.items() if values},
        features=tuple(str(line) for line in ([bullets] if isinstance(bullets, str) else bullets)),
        description=" ".join(str(entry.get("full_description") or "").split()),
    )


def _benchmark_goals(goals: Iterable[Mapping[str, Any]]) -> Iterable[Goal]:
    for goal in goals:
        options = goal.get("goal_options") or ()
        yield Goal(
            asin=goal["asin"].upper(),
            instruction=" ".join(goal["instruction_text"].split()),
            attributes=tuple(_plain(attribute) for attribute in goal["attributes"]),
            options=tuple(_plain(value) for value in (options.values() if isinstance(options, dict) else options)),
            max_price=float(goal["price_upper"]),
        )


def _human_goals(by_product: Mapping[str, Any], products: Mapping[str, Product]) -> Iterable[Goal]:
    goals = []
    for entry in (entry for entries in by_product.values() for entry in entries):
        product = products.get(entry["asin"].upper())
        attributes = tuple(_plain(attribute) for attribute in entry["instruction_attributes"])
        if product is None or not attributes:
            continue
        limit = float(next((limit for limit in _LADDER if limit > product.price), 1_000_000))
        text = " ".join(entry["instruction"].split()).strip(".")
        options = entry.get("instruction_options") or ()
        goals.append(
            Goal(
                product.asin,
                f"{text}, and price lower than {limit:.2f} dollars",
                attributes,
                tuple(_plain(value) for value in (options.values() if isinstance(options, dict) else options)),
                limit,
            )
        )
    return sorted(goals, key=lambda goal: hashlib.sha256(goal.instruction.encode()).hexdigest())


def _plain(text: Any) -> str:
    return " ".join(str(text).lower().split())
