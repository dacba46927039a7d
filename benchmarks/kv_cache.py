"""What a KV cache kept across turns saves: shared prompt prefixes, and decoding time with and without them.

    python benchmarks/kv_cache.py [--games 8] [--model embedded]

For windowed and full contexts apart it plays one episode a game, then decodes every turn of those episodes again:

- one by one in two ways, side by side: from the whole prompt, and from a cache that already holds what the prompt
  shares with the episode's previous one (whose making is not timed: the best that any reuse could do);
- all episodes of a turn together by the engine itself, which keeps nothing or keeps everything, gathering included.

Greedy; seconds are of this thread's own work.
"""

from __future__ import annotations

import argparse
import time
from statistics import fmean
from typing import TYPE_CHECKING, Any

from paw_bench.config.schema import (
    ContextConfig,
    EnvironmentConfig,
    ExperimentConfig,
    GamesConfig,
    PromptConfig,
    RunConfig,
)
from paw_bench.envs.panels import load_panels
from paw_bench.envs.pool import EnvironmentPool

if TYPE_CHECKING:
    from paw_bench.rollout.episode import Episode

REPEATS = 3
"""Times that the engine goes through all turns in each way, in alternation."""
REPLY_TOKENS = 4
"""About the length of an action of the embedded model."""


def main() -> None:
    """Print one line a context form."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--model", default="embedded")
    options = parser.parse_args()
    environment = EnvironmentConfig(games=GamesConfig(max_receptacles=20), max_turns=20, invalid_action="admissible")
    tasks = load_panels(environment)["tune"].tasks[: options.games]
    with EnvironmentPool(environment, workers=1, timeout_s=60.0) as pool:
        for mode in ("window", "full"):
            report(mode, options.model, environment, tasks, pool)


def report(mode: str, name: str, environment: EnvironmentConfig, tasks: Any, pool: EnvironmentPool) -> None:
    """Play, measure and print one context form."""
    import torch

    from paw_bench import models
    from paw_bench.config.schema import ModelConfig
    from paw_bench.rollout.build import build_collector
    from paw_bench.rollout.collector import Assignment

    torch.set_num_threads(1)
    model, tokenizer = models.load(ModelConfig(name=name), "cpu")
    context = ContextConfig(mode=mode, max_prompt_tokens=2048, max_response_tokens=8)
    config = ExperimentConfig(environment=environment, prompt=PromptConfig(style="compact"), context=context)
    collector = build_collector(RunConfig(experiment=config), pool, model, tokenizer)
    assignments = [Assignment(task, number, 0, 0, f"kv/{task.task_id}") for number, task in enumerate(tasks)]
    episodes = collector.collect(assignments, 1.0)
    measured = [turn for episode in episodes for turn in decode_turns(model, episode)]
    length, shared, whole, reused = (fmean(column) for column in zip(*measured, strict=True))
    print(
        f"{mode:6}  {len(measured)} turns: prompt {length:.0f} tokens, {shared / length:.0%} shared with the last; "
        f"decoding {1e3 * whole:.2f} ms from the whole prompt, {1e3 * reused:.2f} ms with a kept cache, "
        f"ratio {whole / reused:.2f}"
    )
    pairs = [[engine_seconds(model, tokenizer, episodes, keep=keep) for keep in (False, True)] for _ in range(REPEATS)]
    ratios = [without / kept for without, kept in pairs]
    print(
        f"{'':6}  {len(episodes)} episodes together: {fmean(pair[0] for pair in pairs):.2f} s when nothing is kept, "
        f"{fmean(pair[1] for pair in pairs):.2f} s when it is, ratio {min(ratios):.2f} to {max(ratios):.2f}"
    )


def engine_seconds(model: Any, tokenizer: Any, episodes: list[Episode], *, keep: bool) -> float:
    """Seconds that the engine takes for every turn of the episodes, those that have one together."""
    from paw_bench.rollout.engine import Request
    from paw_bench.rollout.engines.transformers import TransformersEngine

    engine = TransformersEngine(
        model, end_id=tokenizer.eos_token_id, pad_id=tokenizer.pad_token_id, max_tokens=8, batch=64, keep=keep
    )
    started = time.thread_time()
    for turn in range(max(len(episode.turns) for episode in episodes)):
        engine.generate(
            [
                Request(episode.turns[turn].context_ids, key=turn, conversation=number)
                for number, episode in enumerate(episodes)
                if turn < len(episode.turns)
            ],
            0.0,
        )
    return time.thread_time() - started


def decode_turns(model: Any, episode: Episode) -> list[tuple[int, int, float, float]]:
    """(prompt tokens, shared tokens, seconds from the whole prompt, seconds with a kept cache) of turns 2, 3, ..."""
    measured = []
    for before, turn in zip(episode.turns, episode.turns[1:], strict=False):
        prompt = turn.context_ids
        shared = min(common_prefix(before.context_ids + before.action_ids, prompt), len(prompt) - 1)
        whole, _ = decode(model, prompt, 0)
        reused, _ = decode(model, prompt, shared)
        measured.append((len(prompt), shared, whole, reused))
    return measured


def common_prefix(one: list[int], other: list[int]) -> int:
    """Number of equal tokens at the beginning of both."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def decode(model: Any, prompt: list[int], shared: int) -> tuple[float, list[int]]:
    """Seconds to decode a short reply when the first `shared` tokens are in the cache beforehand; and the reply."""
    import torch

    with torch.no_grad():
        cache = None
        if shared:
            cache = model(input_ids=torch.tensor([prompt[:shared]]), use_cache=True).past_key_values
        started = time.thread_time()
        tokens = torch.tensor([prompt[shared:]])
        reply = []
        for _ in range(REPLY_TOKENS):
            output = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, tokens = output.past_key_values, output.logits[:, -1:].argmax(-1)
            reply.append(int(tokens))
        return time.thread_time() - started, reply


if __name__ == "__main__":
    main()
