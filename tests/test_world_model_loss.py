"""Token losses, lambda and the term: values and gradients in closed form."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paw_bench.world_model.balance import constant, reward_adaptive, scheduled
from paw_bench.world_model.loss import token_loss
from paw_bench.world_model.term import NOTHING, world_model_term

P = [0.05, 0.2, 0.7]
"""Label probabilities: below, at and above rho = 0.2."""


def label_logps(p: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a two-token vocabulary whose label has probability p, and the label's log-probability."""
    logits = torch.tensor(
        [[math.log(value / (1 - value)), 0.0] for value in p], dtype=torch.float64, requires_grad=True
    )
    return logits, logits.log_softmax(-1)[:, 0]


@pytest.mark.parametrize(
    ("kind", "values", "gradients", "clipped"),
    [
        ("cmae", [0.95, 0.8, 0.0], [-0.05 * 0.95, -0.2 * 0.8, 0.0], [False, False, True]),
        ("mae", [0.95, 0.8, 0.3], [-0.05 * 0.95, -0.2 * 0.8, -0.7 * 0.3], [False, False, False]),
        ("ce", [-math.log(p) for p in P], [-0.95, -0.8, -0.3], [False, False, False]),
        ("gce", [2 * (1 - p**0.5) for p in P], [-(p**0.5) * (1 - p) for p in P], [False, False, False]),
    ],
)
def test_value_gradient_to_the_label_logit_and_clipping(kind, values, gradients, clipped):
    logits, logps = label_logps(P)
    losses, mask = token_loss(kind, logps, rho=0.2 + 1e-12, q=0.5)
    losses.sum().backward()
    assert losses.tolist() == pytest.approx(values)
    assert logits.grad[:, 0].tolist() == pytest.approx(gradients)
    assert mask.tolist() == clipped


def test_cmae_with_rho_one_is_mae():
    _, logps = label_logps(P)
    assert torch.equal(token_loss("cmae", logps, rho=1.0, q=0.7)[0], token_loss("mae", logps, rho=0.2, q=0.7)[0])


def test_generalised_cross_entropy_goes_from_cross_entropy_to_mae():
    _, logps = label_logps(P)
    losses = {q: token_loss("gce", logps, rho=0.2, q=q)[0] for q in (1e-9, 1.0)}
    assert torch.allclose(losses[1e-9], token_loss("ce", logps, rho=0.2, q=0.7)[0], rtol=1e-6)
    assert torch.allclose(losses[1.0], token_loss("mae", logps, rho=0.2, q=0.7)[0])


def test_lambda_is_the_share_of_the_return_that_is_missing_and_stays_between_0_and_1():
    returns, group = torch.tensor([10.0, 0.0, 0.0, 0.0, 10.0, 10.0, -3.0, -1.0]), torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    assert reward_adaptive(returns, group, groups=3, max_return=10.0).tolist() == [0.75, 0.0, 1.0]
    assert reward_adaptive(returns, group, groups=3, max_return=5.0).tolist() == [0.5, 0.0, 1.0]
    assert constant(0.05, groups=2).tolist() == [0.05, 0.05]


@pytest.mark.parametrize(("kind", "quarter"), [("linear", 0.65), ("cosine", 0.8 - 0.6 * (1 - math.sqrt(0.5)) / 2)])
def test_a_scheduled_lambda_goes_from_the_first_update_to_the_last(kind, quarter):
    values = [scheduled(kind, first=0.8, last=0.2, update=update, updates=5) for update in range(1, 6)]
    assert values == pytest.approx([0.8, quarter, 0.5, 1.0 - quarter, 0.2])
    assert scheduled(kind, first=0.8, last=0.2, update=1, updates=1) == 0.8


def term(logps, weights, measure, observed, kind="cmae"):
    return world_model_term(logps, weights=weights, measure=measure, observed=observed, kind=kind, rho=0.2, q=0.7)


def test_term_and_diagnostics_of_a_tiny_batch():
    logps = torch.tensor([[math.log(p) for p in (0.1, 0.5)], [math.log(p) for p in (0.9, 0.05)]])
    weights = torch.tensor([[0.0, 0.0], [0.3, 0.4]])
    measure = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
    observed = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    loss, diagnostics = term(logps, weights, measure, observed)
    assert loss.item() == pytest.approx(0.4 * 0.95)
    assert diagnostics.loss == pytest.approx(0.5 * 0.95)
    assert (diagnostics.clipped, diagnostics.selected_tokens, diagnostics.tokens) == (1, 2, 3)
    assert diagnostics.nll == pytest.approx(-math.log(0.5 * 0.9 * 0.05))
    assert diagnostics + NOTHING == diagnostics


@pytest.mark.parametrize("kind", ["cmae", "mae", "ce", "gce"])
def test_rows_and_tokens_of_weight_0_add_nothing_even_with_impossible_labels(kind):
    logps = torch.log(torch.tensor([[0.1, 0.0], [0.0, 0.0]])).requires_grad_()
    one = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    loss, diagnostics = term(logps, one, one, one, kind)
    loss.backward()
    alone, expected = term(logps.detach()[:1, :1], one[:1, :1], one[:1, :1], one[:1, :1], kind)
    assert loss.item() == pytest.approx(alone.item())
    assert diagnostics == expected
    assert logps.grad[0, 0] != 0
    assert logps.grad.flatten()[1:].tolist() == [0.0, 0.0, 0.0]


@given(st.integers(0, 2**16), st.integers(1, 5), st.sampled_from(["cmae", "mae", "ce", "gce"]))
def test_any_split_into_micro_batches_has_the_same_loss_gradient_and_diagnostics(seed, rows, kind):
    generator = torch.Generator().manual_seed(seed)
    logps = -3 * torch.rand((6, 4), generator=generator, dtype=torch.float64)
    weights = torch.rand((6, 4), generator=generator, dtype=torch.float64)

    def total(size):
        leaf, loss, diagnostics = logps.clone().requires_grad_(), 0.0, NOTHING
        for part in torch.arange(6).split(size):
            value, measured = term(leaf[part], weights[part], weights[part], torch.ones_like(weights[part]), kind)
            value.backward()
            loss, diagnostics = loss + value.item(), diagnostics + measured
        return loss, leaf.grad, diagnostics

    whole, split = total(6), total(rows)
    assert split[0] == pytest.approx(whole[0])
    assert torch.allclose(split[1], whole[1])
    assert split[2].nll == pytest.approx(whole[2].nll)
    assert split[2].clipped == whole[2].clipped
