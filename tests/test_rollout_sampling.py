import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from paw_bench.rollout.sampling import keyed_uniforms, noise_key, sample


def test_uniforms_depend_on_key_and_position_alone():
    keys = [noise_key("a", 1), noise_key("a", 2), noise_key("b", 1)]
    alone = [keyed_uniforms([key], 3)[0] for key in keys]
    assert keyed_uniforms(keys, 3).tolist() == alone
    assert len({*alone, *keyed_uniforms(keys, 4)}) == 6


def test_uniforms_are_uniform():
    draws = np.concatenate([keyed_uniforms([noise_key(number) for number in range(500)], at) for at in range(20)])
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    # Pearson's chi-square with 19 degrees of freedom: 43.8 is its 99.9 % point.
    assert ((counts - 500) ** 2 / 500).sum() < 43.8


def test_sampling_follows_the_distribution():
    logits = torch.tensor([1.0, 2.0, 0.5, -1.0])
    uniforms = (np.arange(20_000) + 0.5) / 20_000
    drawn = sample(logits.expand(20_000, -1), uniforms, 1.0)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    assert torch.allclose(shares, logits.softmax(-1), atol=2e-4)


def test_temperature_sharpens_and_zero_is_greedy():
    logits = torch.tensor([1.0, 2.0, 0.5])
    uniforms = (np.arange(3_000) + 0.5) / 3_000
    cold = torch.bincount(sample(logits.expand(3_000, -1), uniforms, 0.5), minlength=3) / 3_000
    assert torch.allclose(cold, (logits / 0.5).softmax(-1), atol=2e-3)
    assert (sample(logits.expand(3_000, -1), uniforms, 0.0) == 1).all()


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_a_token_of_probability_zero_is_never_drawn(uniform, size):
    logits = torch.full((1, size + 1), -torch.inf)
    logits[0, size // 2] = 0.0
    assert sample(logits, np.array([uniform]), 1.0).item() == size // 2
