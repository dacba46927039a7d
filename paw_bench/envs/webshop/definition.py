"""WebShop as an environment of the suite: buy what an instruction asks for (arXiv 2207.01206)."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.config.section import NonNegativeInt, PositiveInt
from paw_bench.envs.definition import Definition, Listed, Missing, PanelOptions
from paw_bench.envs.protocol import Demonstrator, Environment, Player, StepResult, Task
from paw_bench.envs.words import Words
from paw_bench.errors import ConfigError

if TYPE_CHECKING:
    from paw_bench.envs.webshop.environment import Browser
    from paw_bench.envs.webshop.shop import Goal, Shop

TEST_GOALS, TUNE_GOALS = 500, 500
"""Goals 0 to 499 are held for testing, in the original benchmark and here; the next 500 are to tune on."""


class WebshopOptions(PanelOptions):
    """Which shop, and how many goals of each panel."""

    source: Literal["generated", "data"] = "generated"
    """`generated`: a catalogue made from the seed; `data`: the original files under `$WEBSHOP_DATA`."""
    seed: NonNegativeInt = 0
    """Of the generated catalogue and its goals."""
    products: PositiveInt = 1000
    """Size of the generated catalogue."""
    page: PositiveInt = 10
    """Products on a page of results."""
    test: PositiveInt = TEST_GOALS
    """The first so many of goals 0 to 499."""


class Webshop(Definition):
    """A shop with a search box, behind pages of text."""

    options = WebshopOptions
    task_types = ("beauty", "electronics", "fashion", "garden", "grocery")
    words = Words(
        role="You are an expert agent that shops in the WebShop e-commerce environment.",
        instruction=re.compile(r" \[SEP\] Instruction: \[SEP\] (.*?)(?= \[SEP\] )", re.DOTALL),
        ask=(
            "Now take an action. First reason step by step about what to buy, inside <think> </think> tags. Then "
            "choose one admissible action, with your own words in a search, and give it inside <action> </action> tags."
        ),
    )

    def tasks(self, config: EnvironmentConfig, cache: Path) -> dict[str, list[Listed]]:
        """Goals 0 to 499 for `test`, 500 to 999 for `tune`, the rest for `train`."""
        shop = _shop_of(config)
        sizes = self.sizes(config)
        ends = {"test": TEST_GOALS, "tune": TEST_GOALS + TUNE_GOALS, "train": len(shop.goals)}
        panels: dict[str, list[Listed]] = {}
        first = 0
        for name, end in ends.items():
            panels[name] = [_listed(shop, number) for number in range(first, min(end, len(shop.goals)))]
            if len(panels[name]) < sizes[name]:
                raise _too_few(config, name, len(panels[name]))
            first = end
        return panels

    def make(self, config: EnvironmentConfig) -> Environment:
        """A visit to the shop, which the episodes of a process share."""
        from paw_bench.envs.webshop.environment import WebshopEnvironment

        return WebshopEnvironment(config, _browser(*_key(config), self.read_options(config).page))

    def player(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Player:
        """One who knows which product the goal was made from."""
        from paw_bench.envs.webshop.player import Customer

        shop = _shop_of(config)
        return Customer(shop, shop.goals[int(task.location)])

    def demonstrator(self, config: EnvironmentConfig, task: Task, opening: StepResult) -> Demonstrator:
        """One who reads the pages. It understands the instructions of the generated shop only."""
        from paw_bench.envs.webshop.demonstrator import Shopper

        found = self.words.instruction.search(opening.observation)
        return Shopper.start(found[1] if found else "")

    def missing(self, config: EnvironmentConfig) -> Missing | None:
        """The original files, where the config asks for them."""
        if self.read_options(config).source == "generated":
            return None
        from paw_bench.envs.data_folder import missing_data
        from paw_bench.envs.webshop.files import VARIABLE, lacking

        return missing_data("the WebShop files", VARIABLE, lacking)


def _too_few(config: EnvironmentConfig, panel: str, there: int) -> ConfigError:
    return ConfigError(
        file="experiment",
        key=f"environment.options.{panel}",
        value=config.options[panel],
        problem=f"the shop has only {there} goals for the panel {panel}",
        remedy=f"set it to {there} or less" if there else "give the shop more goals",
    )


def _listed(shop: Shop, number: int) -> Listed:
    goal: Goal = shop.goals[number]
    digest = hashlib.sha256(f"{shop.digest} {goal!r}".encode()).hexdigest()
    return Listed(Task(f"goal-{number:05d}", shop.products[goal.asin].category, str(number)), digest)


def _key(config: EnvironmentConfig) -> tuple[str, int, int, int]:
    options = WEBSHOP.read_options(config)
    if options.source == "data":
        from paw_bench.envs.webshop.files import data_root

        return str(data_root()), 0, 0, 0
    return "", options.seed, options.products, TEST_GOALS + TUNE_GOALS + options.train


def _shop_of(config: EnvironmentConfig) -> Shop:
    return _shop(*_key(config))


@lru_cache(maxsize=2)
def _shop(folder: str, seed: int, products: int, goals: int) -> Shop:
    if folder:
        from paw_bench.envs.webshop.files import load_shop

        return load_shop(Path(folder))
    from paw_bench.envs.webshop.generator import generate

    return generate(seed, products, goals)


@lru_cache(maxsize=2)
def _browser(folder: str, seed: int, products: int, goals: int, page: int) -> Browser:
    from paw_bench.envs.webshop.environment import Browser

    return Browser(_shop(folder, seed, products, goals), page)


WEBSHOP = Webshop()
