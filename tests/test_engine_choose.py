"""Which engine a run samples with, what is refused, and the weights that another engine is given."""

import copy

import pytest
import torch
from peft import get_peft_model
from pydantic import ValidationError
from training_data import run_config, tiny_model, tiny_tokenizer

from paw_bench.config.schema import ModelConfig, RunConfig
from paw_bench.rollout.engines import choose as module
from paw_bench.rollout.engines.choose import build_engine, choose
from paw_bench.rollout.engines.transformers import TransformersEngine
from paw_bench.rollout.engines.weights import named_weights
from paw_bench.training.critic import attach_value_head
from paw_bench.training.lora import lora_of

ON_GPU = {"device": "cuda", "gpus": 1}


def config_of(deterministic=False, **execution) -> RunConfig:
    return RunConfig.model_validate(
        {"experiment": {"rollout": {"deterministic": deterministic}}, "execution": execution}
    )


@pytest.mark.parametrize(
    ("config", "installed", "name", "reason"),
    [
        (config_of(), True, "transformers", "auto: the device is cpu"),
        (config_of(True, **ON_GPU), True, "transformers", "auto: rollout.deterministic is true"),
        (config_of(device="cuda", gpus=2), True, "transformers", "auto: 2 processes train the run"),
        (config_of(**ON_GPU), False, "transformers", "auto: vLLM is not installed"),
        (config_of(**ON_GPU), True, "vllm_colocate", "auto: one GPU, vLLM is installed"),
        (config_of(engine="transformers", **ON_GPU), True, "transformers", "execution.engine names it"),
        (config_of(engine="vllm_colocate"), False, "vllm_colocate", "execution.engine names it"),
    ],
)
def test_auto_takes_vllm_only_where_it_suits_the_run(config, installed, name, reason, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: object() if installed else None)
    assert (choose(config).name, choose(config).reason) == (name, reason)


def test_a_run_on_this_machine_samples_with_the_model_that_is_trained():
    model = tiny_model()
    engine = build_engine(run_config("full"), model, tiny_tokenizer())
    assert isinstance(engine, TransformersEngine)
    assert engine.model is model


@pytest.mark.parametrize(
    ("execution", "deterministic", "said"),
    [
        ({"engine": "vllm_colocate"}, True, "does not repeat to the bit, as rollout.deterministic asks"),
        ({"engine": "vllm_colocate", "processes": 2}, False, "samples for one process, and the run has 2"),
        ({"engine": "vllm_server"}, False, "needs an address: set execution.vllm.server"),
        ({"engine": "vllm"}, False, "Input should be 'auto'"),
    ],
)
def test_an_engine_that_cannot_serve_the_run_is_refused(execution, deterministic, said):
    with pytest.raises(ValidationError, match=said):
        config_of(deterministic, **execution)


def test_weights_for_another_engine_have_the_checkpoints_names_and_no_value_head():
    model = tiny_model()
    expected = dict(model.named_parameters())
    attach_value_head(model)
    assert {name: weight.data_ptr() for name, weight in named_weights(model)} == {
        name: weight.data_ptr() for name, weight in expected.items()
    }


def test_adapters_are_added_to_what_they_adapt_and_the_model_stays_as_it_was():
    model = tiny_model()
    wrapped = get_peft_model(model, lora_of(ModelConfig(lora_rank=2)))
    torch.manual_seed(1)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    before = copy.deepcopy(model.state_dict())
    given = dict(named_weights(model))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    merged = wrapped.merge_and_unload()
    assert given.keys() == dict(merged.named_parameters()).keys()
    for name, weight in merged.named_parameters():
        assert torch.allclose(given[name], weight, atol=1e-6), name
    assert not torch.allclose(
        given["model.layers.0.mlp.up_proj.weight"], tiny_model().model.layers[0].mlp.up_proj.weight
    )
