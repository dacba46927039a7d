"""Updates that one process and several must compute alike; as a script under torchrun, one of the several."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from training_data import collect_from, gradients_of_steps, make_trainer, parameters, run_config, tiny_model

from paw_bench.training.ranks import end_rank

UPDATES = 2
ALGORITHMS: dict[str, dict[str, Any]] = {
    "grpo": {"name": "grpo", "loss_type": "dapo"},
    "rloo": {"name": "rloo", "scale_advantages": "batch"},
    "gigpo": {"name": "gigpo", "loss_type": "grpo"},
    "ppo": {"name": "ppo", "scale_advantages": "batch", "ppo": {"critic_learning_rate": 1e-2}},
}
PAW = {"enabled": True}
CASES: dict[str, dict[str, Any]] = {
    f"{name}-{mode}-{'paw' if world_model else 'none'}": {
        "mode": mode,
        "algorithm": algorithm,
        "world_model": world_model,
    }
    for name, algorithm in ALGORITHMS.items()
    for mode in ("full", "window")
    for world_model in (None, PAW)
} | {
    "entropy-full": {"mode": "full", "algorithm": {"entropy_coefficient": 0.03}, "micro_batch_rows": 64},
    "entropy-window": {"mode": "window", "algorithm": {"entropy_coefficient": 0.03}},
    "dr_grpo-full": {"mode": "full", "algorithm": {"loss_type": "dr_grpo"}, "world_model": PAW},
    "bnpo-full": {"mode": "full", "algorithm": {"loss_type": "bnpo"}, "micro_batch_rows": 64},
    "one-step-full": {"mode": "full", "algorithm": {"optimizer_steps": 1}, "world_model": PAW},
    "inverse-ppo": {
        "mode": "window",
        "algorithm": ALGORITHMS["ppo"],
        "world_model": PAW | {"inverse_dynamics": True, "loss": {"kind": "ce"}},
    },
    "apart-ppo-window": {
        "mode": "window",
        "algorithm": ALGORITHMS["ppo"],
        "world_model": PAW | {"inverse_dynamics": True, "schedule": {"separate": True}},
    },
    "apart-ppo-full": {
        "mode": "full",
        "algorithm": ALGORITHMS["ppo"],
        "world_model": PAW | {"schedule": {"separate": True}},
    },
    "alone-ppo": {
        "mode": "window",
        "algorithm": ALGORITHMS["ppo"],
        "world_model": PAW | {"schedule": {"rl_term": False}},
    },
    "random-shuffled": {
        "mode": "window",
        "world_model": PAW | {"selection": {"score": "random", "alpha": 0.5}, "targets": "shuffled"},
    },
    "lora-bfloat16": {"mode": "full", "world_model": PAW, "dtype": "bfloat16", "lora_rank": 2},
}
"""Name -> arguments of `run_config`."""


def outcome(name: str, folder: Path, processes: int | None) -> dict[str, Any]:
    """Gradients of the first update's steps from one set of weights, weights after `UPDATES` updates, and records."""
    case = {"algorithm": {}, **CASES[name]}
    case["algorithm"] = {"epochs": 2, "weight_decay": 0.1, **case["algorithm"]}
    if name.partition("-")[0] in ALGORITHMS and not case.get("world_model"):
        tiny_model(seed=3).save_pretrained(folder / "initial")
        case["algorithm"] |= {"kl_coefficient": 0.1}
    config = run_config(**case, updates=UPDATES, processes=processes)
    episodes = {update: collect_from(tiny_model(seed=7), config)(update) for update in range(1, UPDATES + 1)}
    gradients = gradients_of_steps(config, _model(case, folder), folder, episodes.__getitem__)
    records: list[dict[str, Any]] = []
    model = _model(case, folder)
    trainer = make_trainer(
        config, model, folder, collect=episodes.__getitem__, on_update=lambda record, _: records.append(record)
    )
    weights: list[torch.Tensor] = []
    batches: list[dict[str, Any]] = []
    trainer._world_model_loss = _spied(trainer, batches)
    for update in range(1, UPDATES + 1):
        trainer.train_to(update)
        trainer.check_weights()
        weights.append(parameters(trainer.model))
    return {"gradients": gradients, "weights": weights, "records": records, "selected": _selected(batches)}


def _selected(batches: list[dict[str, Any]]) -> list[tuple[list[int], float]]:
    """(observation tokens, measure) of every selected transition that was trained on, sorted."""
    found = []
    for batch in batches:
        for row in range(len(batch["wm_measure"])):
            measure = batch["wm_measure"][row]
            for value in measure[measure > 0].unique():
                found.append((batch["completion_ids"][row][measure == value].tolist(), value.item()))
    return sorted(found)


def _spied(trainer: Any, seen: list[Any]) -> Any:
    inner = trainer._world_model_loss

    def spying(logps: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        seen.append(inputs)
        return inner(logps, inputs)

    return spying


def _model(case: dict[str, Any], folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    if case["algorithm"].get("kl_coefficient"):
        model = AutoModelForCausalLM.from_pretrained(folder / "initial")
    else:
        model = tiny_model()
    with torch.no_grad():
        for parameter, moved in zip(model.parameters(), tiny_model(seed=4).parameters(), strict=True):
            parameter.add_(0.2 * moved)
    return model


if __name__ == "__main__":
    target = Path(sys.argv[1])
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    (target / f"work-{rank}").mkdir()
    for each in sys.argv[2:]:
        torch.save(outcome(each, target / f"work-{rank}", world), target / f"{each}-{rank}.pt")
    end_rank()
