"""vLLM in the trainer's own process: it shares the device, and its weights are copied over at every sync.

The engine is made without weights: all of them come from `load_weights`, so whatever a sync misses shows at once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import linear
from transformers import PreTrainedModel

from paw_bench.rollout.engine import EngineFailed, Reply, Request
from paw_bench.rollout.engines.weights import named_weights

SEED_BITS = 2**63 - 1
"""vLLM's seeds are signed."""


class VllmColocateEngine:
    """Samples with vLLM's `LLM`; starts with the first `load_weights`."""

    def __init__(
        self, *, end_id: int, max_tokens: int, max_length: int | None, batch: int, dtype: str, memory_share: float
    ) -> None:
        """
        Args:
            end_id: token that ends a reply.
            max_tokens: longest reply.
            max_length: longest prompt and reply together (None: what the model can).
            batch: sequences decoded together.
            dtype: of its copy of the weights, `float32` or `bfloat16`.
            memory_share: of the GPU's memory, for weights and KV cache (on a CPU, `VLLM_CPU_KVCACHE_SPACE` says how
                many GiB the cache takes; 1 where it is not set).
        """
        self.end_id = end_id
        self.max_tokens = max_tokens
        self._options = {
            "max_model_len": max_length,
            "max_num_seqs": batch,
            "dtype": dtype,
            "gpu_memory_utilization": memory_share,
        }
        self._llm: Any = None

    def generate(self, requests: Sequence[Request], temperature: float) -> list[Reply]:
        """One reply a request; vLLM decides what is decoded together and keeps what prompts share."""
        if self._llm is None:
            raise EngineFailed("vLLM in this process has no weights: load_weights comes first")
        from vllm import SamplingParams

        prompts = [{"prompt_token_ids": request.prompt} for request in requests]
        sampling = [
            SamplingParams(
                temperature=temperature,
                max_tokens=self.max_tokens,
                stop_token_ids=[self.end_id],
                ignore_eos=True,
                seed=request.key & SEED_BITS,
                logprobs=0,
                detokenize=False,
            )
            for request in requests
        ]
        try:
            outputs = self._llm.generate(prompts, sampling, use_tqdm=False)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise EngineFailed(f"vLLM in this process: {type(error).__name__}: {error}") from error
        return [_reply(output.outputs[0]) for output in outputs]

    def forget(self, conversations: Iterable[int]) -> None:
        """What prompts share is kept by vLLM's prefix cache, which makes room by itself."""

    def load_weights(self, model: PreTrainedModel) -> None:
        """Copy the model's weights into vLLM (which it starts when it has not yet) and empty its prefix cache."""
        try:
            if self._llm is None:
                self._llm = self._start(model)
            self._copy(named_weights(model))
            self._llm.reset_prefix_cache()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise EngineFailed(f"vLLM in this process: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Stop vLLM."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _copy(self, weights: Iterator[tuple[str, torch.Tensor]]) -> None:
        runner = self._llm.llm_engine.model_executor.driver_worker.model_runner
        runner.model.load_weights(weights)

    def _start(self, model: PreTrainedModel) -> Any:
        on_cpu = model.device.type == "cpu"
        # In a process of its own the engine's weights could not be reached.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        # The number of threads is the run's choice (execution.threads).
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        # Its warnings are about chat and tokenizers, which it has no part in here.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        from vllm import LLM

        with tempfile.TemporaryDirectory() as folder, plain_linear_layers():
            model.config.save_pretrained(folder)
            return LLM(
                model=folder,
                skip_tokenizer_init=True,
                load_format="dummy",
                generation_config="vllm",
                # Of the untempered policy, whatever the temperature.
                logprobs_mode="raw_logprobs",
                # Compiling for a CPU takes a minute and gains nothing at the sizes that one can train.
                enforce_eager=on_cpu,
                **self._options,
            )


@contextmanager
def plain_linear_layers() -> Iterator[None]:
    """In this block vLLM's CPU layers multiply by their weight as it is; does nothing elsewhere.

    Otherwise they multiply by a packed copy made once at the start, which no later `load_weights` reaches: the engine
    would go on sampling from old weights.
    """
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        yield
        return

    def keep_weight(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = linear  # type: ignore[assignment]

    packed = utils.dispatch_cpu_unquantized_gemm
    utils.dispatch_cpu_unquantized_gemm = keep_weight
    try:
        yield
    finally:
        utils.dispatch_cpu_unquantized_gemm = packed


def _reply(output: Any) -> Reply:
    ids = list(output.token_ids)
    logprobs = [found[token].logprob for token, found in zip(ids, output.logprobs, strict=True)]
    return Reply(ids, logprobs, [float("nan")] * len(ids))
