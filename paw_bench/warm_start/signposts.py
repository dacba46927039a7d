"""Makes the start of the calibration tasks: it reads questions and signs, and knows no road to a new place.

    python -m paw_bench.warm_start.signposts DIR

Nothing is played. Questions and signs are made up: those about old places are answered by the map, which is the same in
every country, those about new places by a road drawn at random. What the model learns is that a question and a sign ask
the same of it; which roads lead to the new places is left for a run to learn.
"""

from __future__ import annotations

import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paw_bench.config.schema import ContextConfig, PromptConfig
from paw_bench.envs.signposts.country import NEW, OLD, ROADS, TOWNS, roads
from paw_bench.envs.signposts.definition import SIGNPOSTS
from paw_bench.envs.signposts.environment import NO_ROAD, question, sign
from paw_bench.errors import UserError
from paw_bench.warm_start.config import SizeConfig, TrainConfig

NAME = "embedded-signposts"
SIZE = SizeConfig(hidden=64, intermediate=192, layers=2, heads=2)
PROMPT = PromptConfig(style="compact", admissible=False)
CONTEXT = ContextConfig(mode="window", turns=1, max_prompt_tokens=64, max_response_tokens=3)
EXAMPLES = 20_000
SPOKEN = 3_000
"""Examples whose words the tokenizer is made from."""
TRAINING = TrainConfig(
    steps=1500, batch=64, observation_weight=1.0, prompt_weight=0.0, candidates_from=1500, candidates_every=1500
)


def make_signposts_start(output: Path, training: TrainConfig = TRAINING) -> dict[str, Any]:
    """Make the model into `output` (which must not exist) and return its record. Raises UserError when it exists."""
    import torch

    from paw_bench.rollout.codec import TurnCodec
    from paw_bench.rollout.prompts import Dialogue, window_prompt
    from paw_bench.warm_start.examples import Example
    from paw_bench.warm_start.main import publish
    from paw_bench.warm_start.tokenizer import build_tokenizer
    from paw_bench.warm_start.train import Progress, build_model, train

    if output.exists():
        raise UserError(f"{output} exists already", "choose another --output, or remove it")
    torch.set_num_threads(1)
    rng = random.Random(training.seed)
    turns = [_made_up(rng) for _ in range(EXAMPLES)]
    dialogues = [Dialogue(opening, ROADS, words=SIGNPOSTS.words) for opening, _, _ in turns]
    told = zip(dialogues[:SPOKEN], turns[:SPOKEN], strict=True)
    texts = [text for dialogue, (_, road, read) in told for text in (window_prompt(dialogue, PROMPT, 0), road, read)]
    # The tokenizer wants a numbered place, and there is none here.
    tokenizer = build_tokenizer([*texts, NO_ROAD], {"zzz": 1}, 400)
    codec = TurnCodec(tokenizer, PROMPT, CONTEXT)
    examples = [
        Example(
            prompt_ids=codec.window_ids(dialogue),
            action_ids=[*codec.encode(road), codec.end_id],
            observation_ids=codec.separator(ended=True) + codec.encode(read),
            place_ids=[],
        )
        for dialogue, (_, road, read) in zip(dialogues, turns, strict=True)
    ]
    model = build_model(SIZE, tokenizer, training.seed)
    record: dict[str, Any] = {
        "name": NAME,
        "examples": EXAMPLES,
        "size": SIZE.model_dump(),
        "config": training.model_dump(mode="json"),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "training": [],
    }

    def note(progress: Progress) -> None:
        record["training"].append(asdict(progress))
        print(f"step {progress.step}/{training.steps}: action loss {progress.action_loss:.3f}", flush=True)

    train(model, examples, training, note, lambda step: True)
    publish(model, tokenizer, record, output)
    return record


def _made_up(rng: random.Random) -> tuple[str, str, str]:
    """The opening of a question, a road that is taken, and the sign on it."""
    known = roads(0)
    town, place, other = rng.choice(TOWNS), rng.choice(OLD + NEW), rng.choice(OLD + NEW)
    road, told = (known[town, asked] if asked in OLD else rng.choice(ROADS) for asked in (place, other))
    return question(town, place), road, sign(other, told)


if __name__ == "__main__":
    make_signposts_start(Path(sys.argv[1]))
