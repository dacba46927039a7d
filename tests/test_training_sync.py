"""Engine and trainer are compared after every sync; what samples from other weights stops the run."""

import copy
import math

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from paw_bench.config.schema import ExecutionConfig, ExperimentConfig, ModelConfig, RunConfig
from paw_bench.rollout.engine import Request
from paw_bench.rollout.engines.transformers import TransformersEngine
from paw_bench.rollout.episode import Episode
from paw_bench.rollout.sampling import noise_key
from paw_bench.training.entropies import fill_entropies
from paw_bench.training.health import EngineParted
from paw_bench.training.ranks import Ranks
from paw_bench.training.sync import WeightSync

PROMPTS = [[5, 9, 11], [7], [3, 4, 5, 6, 7, 8]]


def policy() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=40, num_key_value_heads=1, initializer_range=0.3, **sizes)).eval()


class Copying(TransformersEngine):
    """Has weights of its own; `stale`: a name that its syncs miss."""

    def __init__(self, model, stale: str = "") -> None:
        super().__init__(copy.deepcopy(model), end_id=1, pad_id=0, max_tokens=6, batch=8)
        self.stale = stale
        self.loaded = 0

    def load_weights(self, model) -> None:
        self.loaded += 1
        kept = {name: weight for name, weight in model.state_dict().items() if not self.stale or self.stale not in name}
        self.model.load_state_dict(kept, strict=False)


def sync_of(engine, gap=None, dtype="float32") -> WeightSync:
    config = RunConfig(
        experiment=ExperimentConfig(model=ModelConfig(dtype=dtype)), execution=ExecutionConfig(logprob_gap=gap)
    )
    return WeightSync(config, engine, PROMPTS, Ranks(0, 1))


def train_a_little(model, size=0.05) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(size * torch.randn_like(weight))


def test_weights_are_handed_over_once_for_every_state_of_them():
    model = policy()
    engine = Copying(model)
    sync = sync_of(engine)
    for update in (0, 0, 1, 1, 2):
        train_a_little(model)
        sync.to(model, update)
    assert engine.loaded == 3
    assert sync.last.gap < 1e-5
    sync.to(model, 2)
    assert sync.last.seconds == 0.0


@pytest.mark.parametrize("stale", ["embed_tokens", "layers.1.mlp.down_proj", "norm"])
def test_an_engine_whose_sync_misses_a_weight_stops_the_run(stale):
    model = policy()
    sync = sync_of(Copying(model, stale))
    sync.to(model, 0)
    train_a_little(model)
    with pytest.raises(EngineParted, match=r"after the sync for update 2 .* \(execution\.logprob_gap: 0\.001\)"):
        sync.to(model, 1)
    # And again: the failed sync counts for nothing.
    with pytest.raises(EngineParted):
        sync.to(model, 1)


def test_the_limit_is_the_configs_and_wider_for_bfloat16():
    model = policy()
    engine = Copying(model, "norm")
    train_a_little(model, 0.01)
    for sync in (sync_of(engine, gap=10.0), sync_of(engine, dtype="bfloat16")):
        sync.to(model, 0)
        assert 1e-3 < sync.last.gap < 0.1


def test_numbers_that_are_none_part_in_the_engine_and_not_in_the_trainer():
    model = policy()
    engine = Copying(model, "norm")
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = math.nan
    sync = sync_of(engine)
    sync.to(model, 0)
    assert sync.last.gap is None
    broken = Copying(policy())
    broken.load_weights = lambda model: broken.model.model.norm.weight.data.fill_(math.nan)
    with pytest.raises(EngineParted, match="inf nats"):
        sync_of(broken).to(policy(), 0)


@pytest.mark.parametrize("mode", ["window", "full"])
def test_entropies_that_the_engine_does_not_take_come_from_a_scoring_pass(mode):
    model = policy()
    with_them, without = (
        TransformersEngine(model, end_id=1, pad_id=0, max_tokens=6, batch=8, entropies=entropies)
        for entropies in (True, False)
    )
    expected, episodes = played(with_them, mode), played(without, mode)
    assert math.isnan(episodes[0].turns[0].action_entropies[0])
    fill_entropies(episodes, model, mode=mode, batch=2)
    for one, other in zip(expected, episodes, strict=True):
        for turn, filled in zip(one.turns, other.turns, strict=True):
            assert filled.action_entropies == pytest.approx(turn.action_entropies, abs=1e-5)


def played(engine, mode) -> list[Episode]:
    """Three episodes of two turns, in another order than (group, index), whose observation is two tokens."""
    from paw_bench.rollout.episode import Turn

    episodes = [Episode("task", "type", group, index, seed=0) for group, index in ((1, 0), (0, 1), (0, 0))]
    for number, episode in enumerate(episodes):
        context = list(PROMPTS[number])
        for turn in range(2):
            (reply,) = engine.generate([Request(context, noise_key(number, turn))], 1.0)
            told = {"action_text": "", "observation_text": "", "reward": 0.0, "penalty": 0.0}
            episode.turns.append(
                Turn(
                    context_ids=context,
                    action_ids=reply.ids,
                    action_logprobs=reply.logprobs,
                    action_entropies=reply.entropies,
                    observation_ids=[20, 21],
                    separator_ids=[30],
                    valid=True,
                    accepted=True,
                    **told,
                )
            )
            context = (context if mode == "full" else []) + [*reply.ids, 30, 20, 21]
    return episodes
