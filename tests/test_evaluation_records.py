"""What an evaluation records beside success: probabilities, noisy tokens, sample episodes."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import collect_from, label_logprobs, run_config, tiny_model, tiny_tokenizer
from transformers import PreTrainedTokenizerFast

from paw_bench.config.schema import ContextConfig, PromptConfig
from paw_bench.evaluation import samples
from paw_bench.evaluation.noisy_tokens import names, noisy
from paw_bench.evaluation.probabilities import EDGES, histogram
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.episode import Episode
from paw_bench.world_model.loss import token_loss

PIECES = [
    "You arrive at",
    " fridge 1",
    ". ",
    "In it",
    ", ",
    "you see",
    " a",
    " apple",
    " 1",
    "2",
    " and",
    " apple 12",
    ".",
]


@pytest.fixture(scope="module")
def codec() -> TurnCodec:
    tokenizer = tiny_tokenizer(PreTrainedTokenizerFast)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}<end>{% endfor %}"
    return TurnCodec(tokenizer, PromptConfig(style="compact"), ContextConfig())


def test_a_name_is_noise_where_it_is_said_first_whatever_tokens_it_is_cut_into() -> None:
    told = [piece for piece, mark in zip(PIECES, noisy(PIECES, {"fridge 1"}), strict=True) if mark]
    assert told == [" apple", " 1", "2"]
    assert [PIECES[place] for place, mark in enumerate(noisy(PIECES, ())) if mark] == [" fridge 1", " apple", " 1", "2"]
    assert not any(noisy(PIECES, names("take apple 12 from fridge 1")))
    assert noisy(["Nothing happens", "."], ()) == [False, False]
    assert names("go to drawer 1 drawer 11") == {"drawer 1", "drawer 11"}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.floats(0.001, 1.0))
def test_a_histogram_gives_the_gradients_of_the_losses_exactly(tokens: list[tuple[float, bool]], rho: float) -> None:
    p = torch.tensor([probability for probability, _ in tokens], dtype=torch.float64).clamp(1e-12, 1.0)
    noise = np.array([mark for _, mark in tokens])
    weight = np.linspace(0.5, 1.5, len(p))
    found = histogram(p.numpy(), weight, noise, rho=rho)
    upto = np.array(found["edges"][1:])
    assert rho in found["edges"]
    assert set(EDGES) <= set(found["edges"])
    for label, chosen in (("noisy", noise), ("other", ~noise)):
        part = {name: np.array(values) for name, values in found[label].items()}
        assert part["tokens"].sum() == chosen.sum()
        assert part["weight"].sum() == pytest.approx(weight[chosen].sum())
        # The label's logit moves log p by 1 - p.
        for kind, column, kept in (("ce", "ce", upto <= 1), ("mae", "mae", upto <= 1), ("cmae", "mae", upto <= rho)):
            logps = p.log().requires_grad_()
            losses, _ = token_loss(kind, logps, rho=rho, q=1.0)
            (gradient,) = torch.autograd.grad(losses.sum(), logps)
            size = -gradient.numpy() * (1 - p.numpy())
            # exp(log p) may fall on the other side of rho by its last bit.
            sharp = kind != "cmae" or not (abs(p.numpy() - rho) < 1e-9).any()
            if sharp:
                assert part[column][kept].sum() == pytest.approx((weight * size)[chosen].sum(), abs=1e-9)


def test_tokens_on_an_edge_belong_below_it() -> None:
    found = histogram(np.array([0.0, 0.2, np.nextafter(0.2, 1), 1.0]), np.ones(4), np.zeros(4, dtype=bool), rho=0.2)
    counts = dict(zip(found["edges"][1:], found["other"]["tokens"], strict=True))
    assert {edge: count for edge, count in counts.items() if count} == {1e-5: 1, 0.2: 1, 0.25: 1, 1.0: 1}


@pytest.mark.parametrize(
    ("won", "expected"),
    [
        ("0011", ["0 first of the panel", "1 first lost of the others", "2 first won of the others"]),
        ("1000", ["0 first of the panel", "1 first lost of the others"]),
        ("01", ["0 first of the panel", "1 first won of the others"]),
        ("1", ["0 first of the panel"]),
    ],
)
def test_samples_are_the_first_of_the_panel_and_the_next_won_and_lost(won: str, expected: list[str]) -> None:
    episodes = [Episode(str(place), "pick", place, 0, 0, success=mark == "1") for place, mark in enumerate(won)]
    assert [f"{episode.task_id} {reason}" for reason, episode in samples.choose(episodes)] == expected


@pytest.mark.parametrize("mode", ["window", "full"])
def test_a_sample_has_the_surprise_of_every_observation_token_and_draws_no_random_number(
    mode: str, codec: TurnCodec
) -> None:
    model = tiny_model()
    episodes = [
        Episode(str(place), "pick", place, 0, 0, turns=episode.turns, success=episode.success)
        for place, episode in enumerate(collect_from(model, run_config(mode))(1))
    ]
    model.train()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found = samples.records(episodes, "after", model=model, codec=codec, mode=mode, batch=2)
    assert torch.equal(torch.rand(2), expected)
    assert model.training
    model.eval()
    chosen = samples.choose(episodes)
    assert len(found) == len(chosen) == 3
    for record, (_, episode) in zip(found, chosen, strict=True):
        assert (record["phase"], record["success"], len(record["turns"])) == (
            "after",
            episode.success,
            len(episode.turns),
        )
        for told, turn in zip(record["turns"], episode.turns, strict=True):
            ids = turn.context_ids + turn.action_ids + turn.separator_ids + turn.observation_ids
            logps = label_logprobs(model, ids)[0][-len(turn.observation_ids) :]
            assert told["observation"]["surprise"] == pytest.approx([-value for value in logps], abs=6e-4)
            assert told["reply"]["entropy"] == pytest.approx(turn.action_entropies, abs=6e-4)
            assert len(told["reply"]["tokens"]) == len(turn.action_ids)
            assert "".join(told["observation"]["tokens"]) == codec.tokenizer.decode(turn.observation_ids)
    assert len(json.dumps(found)) < 20_000


def test_pieces_add_up_to_the_text_also_where_a_character_takes_several_tokens(embedded_codec: TurnCodec) -> None:
    text = "You see \N{GREEK SMALL LETTER RHO} in drawer 1.<script>"
    ids = [*embedded_codec.encode(text), embedded_codec.end_id]
    pieces = embedded_codec.pieces(ids)
    assert "".join(pieces) == text + embedded_codec.tokenizer.eos_token
    assert len(pieces) == len(ids)
    assert "" in pieces
    assert "\N{GREEK SMALL LETTER RHO}" in pieces


@pytest.fixture
def embedded_codec() -> TurnCodec:
    from paw_bench.warm_start.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(["You see drawer 1."], {"drawer": 2}, size=450)
    return TurnCodec(tokenizer, PromptConfig(style="compact"), ContextConfig())
