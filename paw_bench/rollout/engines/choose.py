"""Which engine a run samples with, and making it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from paw_bench.config.schema import RunConfig
from paw_bench.rollout.engine import Engine


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine's name, as in `execution.engine`, and why it is this one."""

    name: str
    reason: str


def choose(config: RunConfig) -> Choice:
    """The engine that `execution.engine` names; for `auto` the one that suits the run and this machine."""
    execution = config.execution
    if execution.engine != "auto":
        return Choice(execution.engine, "execution.engine names it")
    against = [
        (config.experiment.rollout.deterministic, "rollout.deterministic is true"),
        (execution.device != "cuda", f"the device is {execution.device}"),
        (execution.ranks > 1, f"{execution.ranks} processes train the run"),
        (find_spec("vllm") is None, "vLLM is not installed"),
    ]
    reasons = [reason for holds, reason in against if holds]
    if reasons:
        return Choice("transformers", f"auto: {reasons[0]}")
    return Choice("vllm_colocate", "auto: one GPU, vLLM is installed")


def build_engine(config: RunConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Engine:
    """The chosen engine for the policy `model`. The vLLM ones start with their first `load_weights`."""
    name = choose(config).name
    context, execution = config.experiment.context, config.execution
    end_id, max_tokens, batch = tokenizer.eos_token_id, context.max_response_tokens, execution.generation_batch
    if name == "vllm_server":
        from paw_bench.rollout.engines.vllm_server import VllmServerEngine

        assert execution.vllm.server is not None
        return VllmServerEngine(
            execution.vllm.server, end_id=end_id, max_tokens=max_tokens, batch=batch, device=execution.device
        )
    if name == "vllm_colocate":
        from paw_bench.rollout.engines.vllm_colocate import VllmColocateEngine

        return VllmColocateEngine(
            end_id=end_id,
            max_tokens=max_tokens,
            max_length=context.max_prompt_tokens + max_tokens if context.mode == "window" else None,
            batch=batch,
            dtype=config.experiment.model.dtype,
            memory_share=execution.vllm.memory_share,
        )
    from paw_bench.rollout.engines.transformers import TransformersEngine

    return TransformersEngine(
        model,
        end_id=end_id,
        pad_id=tokenizer.pad_token_id,
        max_tokens=max_tokens,
        batch=batch,
        # The only score that reads them; they cost the more, the larger the vocabulary is.
        entropies=config.experiment.world_model.selection.score == "entropy",
        keep=context.mode == "full",
    )
