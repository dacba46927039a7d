"""vLLM as a server of its own (`vllm serve`), on its own device: generation over HTTP, weights over NCCL.

TRL's client speaks to it. A sync needs a GPU on both sides; generation does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from transformers import PreTrainedModel

from paw_bench.rollout.engine import EngineFailed, Reply, Request
from paw_bench.rollout.engines.vllm_colocate import SEED_BITS
from paw_bench.rollout.engines.weights import named_weights

_PATIENCE_S = 600.0
"""How long a server may take to come up: a large model is read and compiled first."""


class VllmServerEngine:
    """Samples from a running vLLM server."""

    def __init__(self, url: str, *, end_id: int, max_tokens: int, batch: int, device: str) -> None:
        """
        Args:
            url: the server's address, e.g. `http://localhost:8000`.
            end_id: token that ends a reply.
            max_tokens: longest reply.
            batch: requests in flight at a time.
            device: where the trainer's weights are sent from.

        Raises EngineFailed when no server answers.
        """
        from trl.generation.vllm_client import VLLMClient

        self.url = url
        self.end_id = end_id
        self.max_tokens = max_tokens
        self.device = device
        try:
            self._client: Any = VLLMClient(base_url=url, connection_timeout=_PATIENCE_S)
        except (ImportError, OSError) as error:
            raise self._failed(error) from error
        self._threads = ThreadPoolExecutor(batch)

    def generate(self, requests: Sequence[Request], temperature: float) -> list[Reply]:
        """One reply a request, all of them in flight together: each has its own seed, so each is its own call."""
        try:
            return list(self._threads.map(lambda request: self._ask(request, temperature), requests))
        except Exception as error:
            raise self._failed(error) from error

    def forget(self, conversations: Iterable[int]) -> None:
        """What prompts share is kept by the server's prefix cache, which makes room by itself."""

    def load_weights(self, model: PreTrainedModel) -> None:
        """Send the model's weights to the server's workers and empty its prefix cache."""
        try:
            if self._client.communicator is None:
                self._client.init_communicator(self.device)
            shapes = [
                (name, str(weight.dtype).removeprefix("torch."), list(weight.shape))
                for name, weight in named_weights(model)
            ]
            self._client.update_named_params(shapes, named_weights(model))
            self._client.reset_prefix_cache()
        except Exception as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Leave the server to whoever started it."""
        self._threads.shutdown()
        self._client.close_communicator()

    def _ask(self, request: Request, temperature: float) -> Reply:
        found: dict[str, Any] = self._client.generate(
            [request.prompt],
            temperature=temperature,
            max_tokens=self.max_tokens,
            generation_kwargs={
                "seed": request.key & SEED_BITS,
                "stop_token_ids": [self.end_id],
                "ignore_eos": True,
                "skip_special_tokens": False,
            },
        )
        ids = found["completion_ids"][0]
        return Reply(ids, [logprob for (logprob,) in found["logprobs"][0]], [float("nan")] * len(ids))

    def _failed(self, error: Exception) -> EngineFailed:
        return EngineFailed(f"vLLM server at {self.url}: {type(error).__name__}: {error}")
