"""The transformers engine: batched decoding with a KV cache, token-exact, with log-probabilities and entropies.

With full contexts a turn's prompt begins with all of the last turn's, whose keys and values are kept. Windowed prompts
share only their first few tokens, so there the cache lives for one reply (`benchmarks/kv_cache.py` measures both).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from transformers import PreTrainedModel

from paw_bench.rollout.engine import Reply, Request
from paw_bench.rollout.engines.kept import KeptCaches
from paw_bench.rollout.sampling import keyed_uniforms, sample


class TransformersEngine:
    """Decodes with the very model that is trained, so its weights are always current."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        end_id: int,
        pad_id: int,
        max_tokens: int,
        batch: int,
        entropies: bool = True,
        keep: bool = False,
    ) -> None:
        """
        Args:
            model: the policy.
            end_id: token that ends a reply.
            pad_id: token that fills the left of shorter prompts.
            max_tokens: longest reply.
            batch: prompts decoded together.
            entropies: take the entropy of the whole vocabulary at each token (`benchmarks/entropy.py`: what it costs).
            keep: keep the keys and values of the 2 `batch` episodes that spoke last for their next turns: as many as
                are played at a time in flight, and twice the memory that decoding a batch takes.
        """
        self.model = model
        self.end_id = end_id
        self.pad_id = pad_id
        self.max_tokens = max_tokens
        self.batch = batch
        self.entropies = entropies
        self._kept = KeptCaches(2 * batch if keep else 0)

    @torch.no_grad()
    def generate(self, requests: Sequence[Request], temperature: float) -> list[Reply]:
        """One reply a request, `batch` of them decoded together, in their order."""
        was_training = self.model.training
        self.model.eval()
        try:
            replies: list[Reply] = []
            for start in range(0, len(requests), self.batch):
                replies += self._decode(requests[start : start + self.batch], temperature)
            return replies
        finally:
            self.model.train(was_training)

    def forget(self, conversations: Iterable[int]) -> None:
        """Drop what is kept for these episodes."""
        self._kept.forget(conversations)

    def load_weights(self, model: PreTrainedModel) -> None:
        """Decode with `model` from now on."""
        self.model = model
        self._kept.clear()

    def close(self) -> None:
        """Drop what is kept; the model is the caller's."""
        self._kept.clear()

    def _decode(self, requests: Sequence[Request], temperature: float) -> list[Reply]:
        known = self._kept.lengths(requests)
        ids, new = self._left_padded([request.prompt[n:] for request, n in zip(requests, known, strict=True)])
        held = self._ends(known)
        mask = torch.cat([held, new], dim=-1)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, held.shape[1] :]
        keys = [request.key for request in requests]
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._kept.left_padded(requests, known),
            use_cache=True,
            logits_to_keep=1,
        )
        position = positions[:, -1:]
        running = torch.ones(len(requests), dtype=torch.bool, device=ids.device)
        tokens, logprobs, entropies = [], [], []
        for step in range(self.max_tokens):
            logits = output.logits[:, -1].float()
            drawn = sample(logits, keyed_uniforms(keys, step), temperature)
            distribution = logits.log_softmax(-1)
            tokens.append(drawn)
            logprobs.append(distribution.gather(-1, drawn[:, None])[:, 0])
            entropies.append(entropy(distribution) if self.entropies else torch.full_like(logprobs[-1], torch.nan))
            running = running & (drawn != self.end_id)
            if step + 1 == self.max_tokens or not running.any():
                break
            position = position + 1
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
            output = self.model(
                input_ids=drawn[:, None],
                attention_mask=mask,
                position_ids=position,
                past_key_values=output.past_key_values,
                use_cache=True,
            )
        columns = [torch.stack(parts, dim=1).tolist() for parts in (tokens, logprobs, entropies)]
        replies = [self._reply(*row) for row in zip(*columns, strict=True)]
        # The last token was sampled and never read, so the mask is as long as the cache.
        self._kept.put(requests, [reply.ids for reply in replies], output.past_key_values, mask)
        return replies

    def _reply(self, ids: list[int], logprobs: list[float], entropies: list[float]) -> Reply:
        length = ids.index(self.end_id) + 1 if self.end_id in ids else len(ids)
        return Reply(ids[:length], logprobs[:length], entropies[:length])

    def _left_padded(self, prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.pad_id, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        return ids.to(self.model.device), self._ends([len(prompt) for prompt in prompts])

    def _ends(self, lengths: Sequence[int]) -> torch.Tensor:
        """1 on the last `lengths[i]` of row i (B, max(lengths))."""
        places = torch.arange(max(lengths), 0, -1, device=self.model.device)
        return (places <= torch.tensor(lengths, device=self.model.device)[:, None]).long()


def entropy(distribution: torch.Tensor) -> torch.Tensor:
    """Entropy (B,) in nats of log-probabilities (B, V)."""
    return -(distribution.exp() * distribution).sum(-1)
