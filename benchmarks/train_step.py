"""Training tokens per second against TRL's own GRPOTrainer on the same rows, without the world-model term.

    python benchmarks/train_step.py [--pairs 60] [--scale embedded] [--model embedded] [--device cpu] [--set KEY=VALUE]

One update's episodes are played once, with full contexts. Then both trainers train on their rows, from the same weights
and with the same arguments, each in a lane of `paired.py`: ours through its collector, TRL's through its own
`rollout_func`, and a turn goes from one call of it to the next, so that everything that happens in an update is in, and
starting is out. Printed: tokens per second of both, and the ratio ours / TRL's with a 95 % interval over the pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from paired import Lane, take_turns, with_interval
from wm_overhead import experiment, parser_of, play, training

from paw_bench.config.schema import RunConfig

if TYPE_CHECKING:
    from paw_bench.rollout.episode import Episode


def main() -> None:
    """Print tokens per second and their ratio."""
    options = parser_of(__doc__).parse_args()
    file = experiment("full", options)
    config = RunConfig(experiment=file.resolve("none", {}), execution=file.execution)
    ((episodes, _),) = play(config, updates=1)
    ours = Lane(training(config, lambda: list(episodes)), device=options.device)
    trl = Lane(trl_training(config, episodes), device=options.device)
    pairs = take_turns(ours, trl, rounds=options.pairs, prepare=lambda: None)
    tokens = sum(tokens_of(episode) for episode in episodes)
    print(f"{len(episodes)} rows, {tokens} tokens an update, {len(pairs)} pairs of updates")
    speeds = [tokens / median(pair[lane].seconds for pair in pairs) for lane in (0, 1)]
    print(f"ours {speeds[0]:.0f} tokens/s, TRL {speeds[1]:.0f} tokens/s")
    print(f"ours / TRL = {with_interval([theirs.seconds / own.seconds for own, theirs in pairs])}")


def tokens_of(episode: Episode) -> int:
    """Tokens of the episode's row."""
    last = episode.turns[-1]
    return len(last.context_ids + last.action_ids + last.separator_ids + last.observation_ids)


def trl_training(config: RunConfig, episodes: list[Episode]) -> Callable[[Callable[[], None]], None]:
    """TRL's trainer as the work of a lane, fed as a user of TRL would."""

    def work(begin: Callable[[], None]) -> None:
        import torch
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl import GRPOTrainer

        from paw_bench import models
        from paw_bench.rollout.rows import rows_of
        from paw_bench.training.arguments import arguments_of

        torch.set_num_threads(config.execution.threads)
        model, tokenizer = models.load(config.experiment.model, config.execution.device)

        def rollout_func(prompts: list[Any], trainer: Any) -> dict[str, Any]:
            begin()
            rows = rows_of(episodes, "full")
            return {
                "prompt_ids": [row.prompt_ids for row in rows],
                "completion_ids": [row.completion_ids for row in rows],
                "logprobs": None,
                "env_mask": [row.action_mask for row in rows],
                "returns": [episode.env_return - episode.penalty for episode in episodes],
            }

        trainer = GRPOTrainer(
            model=model,
            reward_funcs=[lambda returns, **_: returns],
            args=arguments_of(config, Path(tempfile.mkdtemp())),
            train_dataset=Dataset.from_dict({"prompt": [""] * config.experiment.algorithm.groups}),
            processing_class=tokenizer,
            rollout_func=rollout_func,
        )
        # Ours prints nothing while it trains.
        trainer.remove_callback(PrinterCallback)
        trainer.train()

    return work


if __name__ == "__main__":
    main()
