import math

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from paw_bench.rollout.engine import Request
from paw_bench.rollout.engines.transformers import TransformersEngine
from paw_bench.rollout.sampling import noise_key

END, PAD = 1, 0
PROMPTS = [[5, 9, 11], [7], [3, 4, 5, 6, 7, 8], [2, 30]]
REQUESTS = [Request(prompt, noise_key(number)) for number, prompt in enumerate(PROMPTS)]


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.3,
    )
    return Qwen2ForCausalLM(config).eval()


def engine_of(model, batch=8) -> TransformersEngine:
    return TransformersEngine(model, end_id=END, pad_id=PAD, max_tokens=6, batch=batch)


def full_logits(model, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float()


def test_greedy_replies_are_those_of_transformers_generate(model):
    replies = engine_of(model).generate(REQUESTS, 0.0)
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        expected = model.generate(
            torch.tensor([prompt]), max_new_tokens=6, do_sample=False, eos_token_id=END, pad_token_id=PAD
        )
        assert reply.ids == expected[0, len(prompt) :].tolist()


def test_logprobs_and_entropies_are_those_of_the_full_forward_pass(model):
    for prompt, reply in zip(PROMPTS, engine_of(model).generate(REQUESTS, 1.0), strict=True):
        distribution = full_logits(model, prompt + reply.ids)[len(prompt) - 1 : -1].log_softmax(-1)
        logprobs = distribution.gather(-1, torch.tensor(reply.ids)[:, None])[:, 0]
        entropies = -(distribution.exp() * distribution).sum(-1)
        assert torch.allclose(torch.tensor(reply.logprobs), logprobs, atol=1e-5)
        assert torch.allclose(torch.tensor(reply.entropies), entropies, atol=1e-5)


def test_without_entropies_the_same_is_sampled(model):
    with_them = engine_of(model).generate(REQUESTS, 1.0)
    without = TransformersEngine(model, end_id=END, pad_id=PAD, max_tokens=6, batch=8, entropies=False)
    for reply, bare in zip(with_them, without.generate(REQUESTS, 1.0), strict=True):
        assert (bare.ids, bare.logprobs) == (reply.ids, reply.logprobs)
        assert len(bare.entropies) == len(bare.ids)
        assert all(map(math.isnan, bare.entropies))


def test_a_reply_does_not_depend_on_what_is_decoded_beside_it(model):
    together = engine_of(model).generate(REQUESTS, 1.0)
    for batch in (1, 2, 3):
        assert [reply.ids for reply in engine_of(model, batch).generate(REQUESTS, 1.0)] == [
            reply.ids for reply in together
        ]


def test_the_same_call_repeats_to_the_bit(model):
    first, second = (engine_of(model).generate(REQUESTS, 1.0) for _ in range(2))
    assert first == second


def test_a_reply_ends_with_its_end_token_or_at_the_limit(model):
    requests = [Request([5, 9, 11], noise_key("many", number)) for number in range(200)]
    replies = engine_of(model, 64).generate(requests, 1.0)
    assert any(reply.ids[-1] == END for reply in replies)
    assert all(reply.ids[-1] == END or len(reply.ids) == 6 for reply in replies)
    assert all(END not in reply.ids[:-1] for reply in replies)


def conversations(engine, *, turns: int, forget: bool = False, change: bool = False) -> list:
    """Replies of three episodes of different lengths, whose prompts grow; `change`: in one the past is another."""
    prompts, said = {7: [5, 9, 11], 8: [7], 9: [3, 4, 5, 6, 7, 8]}, []
    for turn in range(turns):
        running = [number for number in prompts if number != 8 or turn != 1]
        requests = [Request(list(prompts[number]), noise_key(number, turn), conversation=number) for number in running]
        replies = engine.generate(requests, 1.0)
        said.append(replies)
        for number, reply in zip(running, replies, strict=True):
            prompts[number] += [*reply.ids, *range(20, 22 + turn + number % 3)]
        if change:
            prompts[9][2] = 2 + turn
        if forget:
            engine.forget([7, 9])
    return said


def keeping(model, batch=8) -> TransformersEngine:
    return TransformersEngine(model, end_id=END, pad_id=PAD, max_tokens=6, batch=batch, keep=True)


@pytest.mark.parametrize("case", [{}, {"forget": True}, {"change": True}])
@pytest.mark.parametrize("batch", [8, 1])
def test_what_is_kept_from_turn_to_turn_changes_no_reply(model, case, batch):
    """Episodes that pause, are forgotten, change their past, or are more than are kept."""
    expected = conversations(engine_of(model), turns=5, **case)
    for replies, others in zip(conversations(keeping(model, batch), turns=5, **case), expected, strict=True):
        for reply, other in zip(replies, others, strict=True):
            assert reply.ids == other.ids
            assert reply.logprobs == pytest.approx(other.logprobs, abs=1e-5)
            assert reply.entropies == pytest.approx(other.entropies, abs=1e-5)


def test_a_turn_reads_only_what_is_new_and_at_most_two_batches_are_kept(model, monkeypatch):
    read = []
    forward = type(model).forward

    def counted(self, input_ids, **kwargs):
        read.append(input_ids.shape)
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(model), "forward", counted)
    engine = keeping(model, batch=1)
    prompts = [list(range(2, 22)), list(range(2, 32)), list(range(2, 27))]
    ask = lambda number, more: engine.generate([Request(prompts[number] + more, 1, number)], 0.0)  # noqa: E731

    def prompt_tokens(number: int, more: list[int]) -> int:
        read.clear()
        ask(number, more)
        return read[0][1]

    assert [prompt_tokens(number, []) for number in (0, 1)] == [20, 30]
    assert prompt_tokens(0, [33, 34]) <= 3
    assert prompt_tokens(2, []) == 25
    # Episode 1 spoke longest ago, and made room.
    assert prompt_tokens(1, [33]) == 31
    engine.load_weights(model)
    assert prompt_tokens(1, [33, 35]) == 32


def test_the_same_calls_since_the_weights_came_repeat_to_the_bit(model):
    engine = keeping(model)
    runs = []
    for _ in range(2):
        engine.load_weights(model)
        runs.append(conversations(engine, turns=4))
    assert runs[0] == runs[1] == conversations(keeping(model), turns=4)
