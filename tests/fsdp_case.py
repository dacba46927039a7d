"""As a script under torchrun: one update of our trainer on a model that `fully_shard` has split over the processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from training_data import collect_from, make_trainer, record_gradients, run_config, tiny_model

from paw_bench.training.ranks import end_rank

LAYERS = 2


def config_of(mode: str, processes: int | None) -> Any:
    """Two optimizer steps with the world-model term and an even number of micro-batches."""
    return run_config(mode, world_model={"enabled": True}, micro_batch_rows=2, processes=processes)


def sharded_update(mode: str, folder: Path, processes: int) -> dict[str, Any]:
    """Local and whole sizes of the parameters, gradients of the steps and weights after them."""
    config = config_of(mode, processes)
    episodes = collect_from(tiny_model(seed=7), config)(1)
    trainer = make_trainer(config, tiny_model(layers=LAYERS), folder, collect=lambda _: episodes)
    model: Any = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    # In place of DDP and of the optimizer of whole parameters, which the trainer has made.
    trainer.model = trainer.model_wrapped = model
    trainer.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    trainer.accelerator.prepare = lambda *objects: objects if len(objects) > 1 else objects[0]
    gradients: list[torch.Tensor] = []
    trainer.add_callback(record_gradients(model, gradients))
    trainer.train_to(1)
    parameters = list(model.parameters())
    assert all(isinstance(parameter, DTensor) for parameter in parameters)
    return {
        "local": [parameter.to_local().numel() for parameter in parameters],
        "whole": [parameter.numel() for parameter in parameters],
        "gradients": gradients,
        "weights": torch.cat([parameter.full_tensor().detach().flatten() for parameter in parameters]),
    }


if __name__ == "__main__":
    target, rank = Path(sys.argv[1]), os.environ["RANK"]
    for each in sys.argv[2:]:
        found = sharded_update(each, target / rank, int(os.environ["WORLD_SIZE"]))
        torch.save(found, target / f"fsdp-{each}-{rank}.pt")
    end_rank()
