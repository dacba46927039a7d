"""Two real processes over gloo compute what one does: every algorithm, both contexts, with and without the term."""

import functools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fsdp_case import LAYERS, config_of
from rank_cases import CASES, outcome
from training_data import (
    assert_same_gradient,
    collect_from,
    make_trainer,
    parameters,
    record_gradients,
    tiny_model,
)

from paw_bench.training.batch import split
from paw_bench.training.ranks import Ranks

MEASURED_HERE = {"time", "seconds", "peak_memory_mb", "padding_share", "logprob_gap"}
MEANS_OF_MICRO_BATCHES = {"kl", "entropy", "clip_ratio", "value_loss"}
"""TRL's metrics and those like them are means over micro-batches, whatever their sizes."""


def in_two_processes(script: str, *arguments: str) -> None:
    """Run a script of this folder under torchrun."""
    here = Path(__file__).parent
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(here / script)]
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes of torchrun computed for every case."""
    folder = tmp_path_factory.mktemp("ranks")
    in_two_processes("rank_cases.py", str(folder), *CASES)
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What this process computes for a case."""
    return functools.cache(lambda name: outcome(name, tmp_path_factory.mktemp("one"), None))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_the_gradients_and_weights_of_one(
    two: Path, one: Callable[[str], dict[str, Any]], name: str
) -> None:
    first, second = (torch.load(two / f"{name}-{rank}.pt") for rank in (0, 1))
    alone = one(name)
    assert torch.equal(torch.stack(first["gradients"]), torch.stack(second["gradients"]))
    assert torch.equal(torch.stack(first["weights"]), torch.stack(second["weights"]))
    precise = CASES[name].get("dtype") != "bfloat16"
    for found, expected in zip(first["gradients"], alone["gradients"], strict=True):
        if precise:
            assert_same_gradient(found, expected)
        else:
            assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.999
    for found, expected in zip(first["weights"], alone["weights"], strict=True):
        # AdamW divides by the gradient's own size: where that is rounding, so is the step's sign.
        assert (found - expected).abs().mean() <= (1e-7 if precise else 1e-4)
    for found, expected in zip(first["records"], alone["records"], strict=True):
        assert_same_record(found, expected, rel=1e-3 if precise else 5e-2)
        # Each process looks at its own first micro-batch.
        assert found["logprob_gap"] >= 0.99 * expected["logprob_gap"]


def assert_same_record(found: dict[str, Any], expected: dict[str, Any], *, rel: float) -> None:
    assert found.keys() == expected.keys()
    for key in found.keys() - MEASURED_HERE - MEANS_OF_MICRO_BATCHES:
        ours, theirs = (value if isinstance(value, dict) else {"": value} for value in (found[key], expected[key]))
        for name, value in theirs.items():
            expectation = None if value is None else pytest.approx(value, rel=rel, abs=1e-4)
            assert ours[name] == expectation, f"{key} {name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if "paw" in name or name == "random-shuffled"])
def test_both_processes_together_train_on_the_transitions_that_one_selects(
    two: Path, one: Callable[[str], dict[str, Any]], name: str
) -> None:
    ranks = [torch.load(two / f"{name}-{rank}.pt")["selected"] for rank in (0, 1)]
    alone = one(name)["selected"]
    assert all(ranks)
    assert sorted(ranks[0] + ranks[1]) == alone


@pytest.mark.slow
def test_fully_sharded_parameters_train_to_those_of_one_process(tmp_path: Path) -> None:
    """FSDP: each process holds a part of every parameter, and the update is the same."""
    in_two_processes("fsdp_case.py", str(tmp_path), "window", "full")
    for mode in ("window", "full"):
        ranks = [torch.load(tmp_path / f"fsdp-{mode}-{rank}.pt") for rank in (0, 1)]
        whole = ranks[0]["whole"]
        assert [sum(sizes) for sizes in zip(*(rank["local"] for rank in ranks), strict=True)] == whole
        assert all(local < size for rank in ranks for local, size in zip(rank["local"], whole, strict=True))
        config = config_of(mode, None)
        episodes = collect_from(tiny_model(seed=7), config)(1)
        alone = tiny_model(layers=LAYERS)
        gradients: list[torch.Tensor] = []
        trainer = make_trainer(config, alone, tmp_path / "one", collect=lambda _, e=episodes: e)
        trainer.add_callback(record_gradients(alone, gradients))
        trainer.train_to(1)
        for found, expected in zip(ranks[0]["gradients"], gradients, strict=True):
            assert_same_gradient(found, expected)
        assert torch.equal(ranks[0]["weights"], ranks[1]["weights"])
        assert (ranks[0]["weights"] - parameters(alone)).abs().mean() < 1e-7


@pytest.mark.parametrize("rows", range(1, 14))
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_micro_batches_of_a_step_hold_every_row_once_and_every_rank_has_as_many(
    rows: int, ranks: int, limit: int
) -> None:
    parts = split(np.arange(rows), limit, ranks)
    shares = [Ranks(index, ranks).share(parts) for index in range(ranks)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    assert max(map(len, parts)) <= limit
    if rows >= ranks * math.ceil(rows / (ranks * limit)):
        assert len(set(map(len, shares))) == 1
    assert all(shares) or rows < ranks
