"""The models that ship with the package, as `paw-bench warm-start` makes them.

Environment, prompt and context of a preset are those of scale `embedded` in that environment (tests hold this).
"""

from __future__ import annotations

from paw_bench.config.schema import ContextConfig
from paw_bench.envs.search_qa.generator import FIRST, LAST
from paw_bench.warm_start.config import (
    DemonstrationConfig,
    SizeConfig,
    TokenizerConfig,
    TrainConfig,
    WarmStartConfig,
)

_SIZE = SizeConfig(hidden=128, intermediate=384, layers=4, heads=4)
_ACTIONS = (r"(?:search|click|answer)\[", r"\]; click\[", r" \[SEP\]")
"""What the free-text environments put around words."""
_START, _MORE, _END = "|".join(FIRST).title(), "|".join(FIRST), "|".join(LAST)
_SYLLABLES = (
    rf" ?(?:{_START})(?=(?:{_MORE})*(?:{_END})\b)",
    rf"(?<=[a-z])(?:{_MORE})(?=(?:{_MORE})*(?:{_END})\b)",
    rf"(?<=[a-z])(?:{_END})\b",
)
"""A name of search QA's generated world is two to four tokens, so that it can be copied without having been seen."""

PRESETS = {
    preset.name: preset
    for preset in (
        WarmStartConfig(name="embedded", size=_SIZE),
        # For tests and the model axis: it takes what the training gives.
        WarmStartConfig(
            name="embedded-small",
            size=SizeConfig(hidden=64, intermediate=192, layers=2, heads=2),
            training=TrainConfig(steps=800, candidates_from=800),
            target_success=(0.0, 1.0),
        ),
        WarmStartConfig(
            name="embedded-textworld",
            size=_SIZE,
            tokenizer=TokenizerConfig(phrases=("You need an", "You should try going", "There is an", "Don't worry")),
            context=ContextConfig(mode="window", turns=1, max_prompt_tokens=256, max_response_tokens=8),
            demonstrations=DemonstrationConfig(
                environment="textworld",
                options={
                    "games": ["coin_collector", "treasure_hunter"],
                    "train": 100,
                    "tune": 40,
                    "test": 80,
                },
                episodes_per_game=6,
                max_turns=10,
            ),
            training=TrainConfig(steps=800, batch=16, candidates_from=100, candidates_every=25),
        ),
        WarmStartConfig(
            name="embedded-webshop",
            size=_SIZE,
            vocabulary=1500,
            tokenizer=TokenizerConfig(
                phrases=("Back to Search", "back to search", "Buy Now", "buy now", "< Prev", "< prev", "Next >"),
                # Ids of products are tokens: in a catalogue of 160 they can be known by heart.
                patterns=(*_ACTIONS, r" ?[Bb]0[A-Za-z0-9]{8}\b", r"\.\d\d\b", r" ?\d+(?![A-Za-z\d])"),
            ),
            context=ContextConfig(mode="window", turns=0, max_prompt_tokens=256, max_response_tokens=16),
            demonstrations=DemonstrationConfig(
                environment="webshop",
                options={"products": 160, "page": 4, "train": 600, "tune": 60, "test": 200},
                episodes_per_game=2,
                max_turns=10,
            ),
            training=TrainConfig(steps=800, batch=16, candidates_from=300, candidates_every=50),
        ),
        WarmStartConfig(
            name="embedded-search-qa",
            size=_SIZE,
            vocabulary=800,
            tokenizer=TokenizerConfig(
                phrases=("A friend since school days is", "works for", "is employed by", "is a", "information"),
                patterns=(*_ACTIONS, *_SYLLABLES),
            ),
            context=ContextConfig(mode="window", turns=1, max_prompt_tokens=256, max_response_tokens=16),
            demonstrations=DemonstrationConfig(
                environment="search_qa",
                options={
                    "documents": 2000,
                    "kinds": ["one hop"],
                    "hits": 1,
                    "train": 900,
                    "tune": 60,
                    "test": 200,
                },
                episodes_per_game=2,
                max_turns=4,
            ),
            training=TrainConfig(steps=700, batch=16, candidates_from=300, candidates_every=50),
        ),
    )
}
