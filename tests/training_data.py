"""Tiny models and synthetic episodes for the training tests: no environment, no engine, exact log-probabilities."""

import random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from paw_bench.config.schema import RunConfig
from paw_bench.rollout.episode import Episode, Turn

VOCABULARY = 40


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "<end>": 1} | {f"w{number}": number for number in range(2, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def tiny_model(seed: int = 0, layers: int = 1, spread: float = 0.3) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=spread,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


@torch.no_grad()
def label_logprobs(model, ids: list[int]) -> tuple[list[float], list[float]]:
    """Reference: log-probability of each token given those before it, and the entropy there (first token: 0)."""
    log_softmax = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    labels = log_softmax.gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
    entropies = -(log_softmax.exp() * log_softmax).sum(-1)
    return [0.0, *labels.tolist()], [0.0, *entropies.tolist()]


def collect_from(model, config: RunConfig, mode: str):
    """A collector of random episodes whose log-probabilities are those of `model` as it is when it collects."""
    algorithm = config.experiment.algorithm

    def collect(update: int) -> list[Episode]:
        training = model.training
        model.eval()
        draw = random.Random(update)
        episodes = [
            _episode(model, draw, group, index, mode)
            for group in range(algorithm.groups)
            for index in range(algorithm.group_size)
        ]
        model.train(training)
        return episodes

    return collect


def _episode(model, draw: random.Random, group: int, index: int, mode: str) -> Episode:
    def words(low: int, high: int) -> list[int]:
        return [draw.randrange(2, VOCABULARY) for _ in range(draw.randint(low, high))]

    history = words(4, 9)
    success = draw.random() < 0.5
    turns = []
    count = draw.randint(1, 4)
    for number in range(count):
        context = list(history) if mode == "full" else [*words(3, 8), *history[-6:]]
        action, separator, observation = [*words(1, 3), 1], words(1, 2), words(1, 6)
        logprobs, entropies = label_logprobs(model, context + action)
        last = number == count - 1
        turns.append(
            Turn(
                context_ids=context,
                action_ids=action,
                action_logprobs=logprobs[len(context) :],
                action_entropies=entropies[len(context) :],
                action_text="go",
                observation_text="text",
                observation_ids=observation,
                separator_ids=separator,
                reward=10.0 if last and success else 0.0,
                penalty=0.1 if draw.random() < 0.3 else 0.0,
                valid=True,
                accepted=draw.random() < 0.7,
            )
        )
        history = [*history, *action, *separator, *observation, *words(1, 2)]
    return Episode(f"task-{group}", "pick", group, index, seed=0, turns=turns, success=success)
