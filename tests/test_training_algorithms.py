"""Each algorithm inside its trainer: against slow references, TRL's own trainer, and itself split otherwise."""

import statistics

import pytest
import torch
from datasets import Dataset
from training_data import (
    assert_same_gradient,
    collect_from,
    full_log_softmax,
    gradients_of_steps,
    make_trainer,
    parameters,
    reference_gradient,
    run_config,
    tiny_model,
    tiny_tokenizer,
)
from transformers import AutoModelForCausalLM
from trl import RLOOTrainer

from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import rows_of
from paw_bench.training.advantages.gigpo import step_advantages
from paw_bench.training.advantages.rows import row_advantages
from paw_bench.training.arguments import arguments_of
from paw_bench.training.columns import WorldModelColumns
from paw_bench.training.mixin import WorldModelMixin
from paw_bench.training.ppo import advantages_of_rows

UPDATES = 2
ALGORITHMS = {
    "rloo": {"name": "rloo", "scale_advantages": "none"},
    "gigpo": {"name": "gigpo"},
    "ppo": {"name": "ppo", "scale_advantages": "batch", "ppo": {"critic_learning_rate": 1e-2}},
}
CLIP = {"clip_low": 0.2, "clip_high": 0.28}


def off_policy(model, config):
    """Episodes sampled by another model, so that ratios differ from 1 and clipping acts."""
    return collect_from(tiny_model(seed=7), config)(1)


def single_turns(collect):
    """Episodes of one turn that ends with the action."""

    def cut(update):
        episodes = collect(update)
        for episode in episodes:
            del episode.turns[1:]
            episode.turns[0].observation_ids, episode.turns[0].separator_ids = [], []
        return episodes

    return cut


@pytest.mark.parametrize(
    "algorithm",
    [{}, {"epochs": 2, "scale_advantages": "batch"}, {"optimizer_steps": 1, "lr_schedule": "linear"}],
    ids=["plain", "two-epochs", "on-policy"],
)
def test_rloo_on_single_turns_trains_to_the_same_bits_as_plain_trl(tmp_path, algorithm):
    config = run_config("full", algorithm=ALGORITHMS["rloo"] | algorithm, updates=UPDATES)
    ours, theirs = tiny_model(), tiny_model()
    trainer = make_trainer(config, ours, tmp_path, collect=single_turns(collect_from(ours, config)))
    trainer.train_to(1)
    torch.rand(3)
    trainer.train_to(UPDATES)

    collect, updates = single_turns(collect_from(theirs, config)), iter(range(1, UPDATES + 1))

    class Fed(RLOOTrainer):
        """TRL's trainer, that plays our episodes where it would sample."""

        def _generate(self, prompts):
            self.model.eval()
            self.played = collect(next(updates))
            self.model.train()
            rows = rows_of(self.played, "full")
            assert len(rows) == len(prompts)
            return [row.prompt_ids for row in rows], [row.completion_ids for row in rows], prompts

    plain = Fed(
        model=theirs,
        reward_funcs=[lambda **_: [episode.env_return - episode.penalty for episode in plain.played]],
        args=arguments_of(config, tmp_path),
        train_dataset=Dataset.from_dict({"prompt": [""] * config.experiment.algorithm.groups}),
        processing_class=tiny_tokenizer(),
    )
    plain.train()
    assert not torch.equal(parameters(ours), parameters(tiny_model()))
    assert torch.equal(parameters(ours), parameters(theirs))


@pytest.mark.parametrize("mode", ["full", "window"])
@pytest.mark.parametrize("name", ["grpo", *ALGORITHMS])
def test_the_disabled_mixin_leaves_the_bits_as_they_are(tmp_path, monkeypatch, mode, name):
    """Against the same trainer without the term's columns in its batches, and without the mixin's loss."""
    config = run_config(mode, algorithm=ALGORITHMS.get(name), updates=UPDATES)

    def trained():
        model = tiny_model()
        make_trainer(config, model, tmp_path).train_to(UPDATES)
        return parameters(model)

    with_mixin = trained()
    monkeypatch.setattr(WorldModelMixin, "_compute_loss", lambda self, model, inputs: self._rl_loss(model, inputs))
    monkeypatch.setattr(WorldModelColumns, "by_row", lambda self: {})
    assert torch.equal(trained(), with_mixin)
    assert not torch.equal(with_mixin[: len(parameters(tiny_model()))], parameters(tiny_model()))


def action_places(row):
    """Completion positions of a row's action tokens."""
    return [place for place, source in enumerate(row.sources) if source == Source.ACTION]


def action_logps(log_softmax, row):
    places = action_places(row)
    labels = torch.tensor([row.completion_ids[place] for place in places])
    return log_softmax[[len(row.prompt_ids) + place - 1 for place in places], labels]


def entropies_of(log_softmax, row):
    chosen = log_softmax[[len(row.prompt_ids) + place - 1 for place in action_places(row)]]
    return -(chosen.exp() * chosen).sum(-1)


def reference_rloo_loss(model, initial, rows, advantages, algorithm):
    """One ratio a row; k3 and entropy as means over the update's action tokens."""
    losses, k3, entropies = [], [], []
    for row, advantage in zip(rows, advantages, strict=True):
        log_softmax = full_log_softmax(model, row)
        logps = action_logps(log_softmax, row)
        old = torch.tensor([row.logprobs[place] for place in action_places(row)])
        ratio = (logps - old).sum().exp()
        clipped = ratio.clamp(1 - algorithm.clip_low, 1 + algorithm.clip_high)
        losses.append(-torch.min(ratio * advantage, clipped * advantage))
        away = action_logps(full_log_softmax(initial, row).detach(), row) - logps
        k3.append(away.exp() - away - 1)
        entropies.append(entropies_of(log_softmax, row))
    extra = (
        algorithm.kl_coefficient * torch.cat(k3).mean() - algorithm.entropy_coefficient * torch.cat(entropies).mean()
    )
    return torch.stack(losses).mean() + extra


def sampled_near(model, config):
    """Episodes of a model whose sequence ratios are about 1: some clipped, some not."""
    near = tiny_model()
    with torch.no_grad():
        for parameter, own, moved in zip(
            near.parameters(), model.parameters(), tiny_model(seed=5).parameters(), strict=True
        ):
            parameter.copy_(own + 0.02 * moved)
    return collect_from(near, config)(1)


@pytest.mark.parametrize("credit", ["episode", "turn"])
def test_windowed_rloo_with_kl_and_entropy_is_a_slow_clip_of_row_ratios(tmp_path, credit):
    options = {"optimizer_steps": 1, "kl_coefficient": 0.1, "entropy_coefficient": 0.03, "penalty_credit": credit}
    config = run_config(algorithm=ALGORITHMS["rloo"] | CLIP | options)
    tiny_model(seed=3).save_pretrained(tmp_path / "initial")
    model, initial = (AutoModelForCausalLM.from_pretrained(tmp_path / "initial") for _ in range(2))
    with torch.no_grad():
        for parameter, moved in zip(model.parameters(), tiny_model(seed=4).parameters(), strict=True):
            parameter.add_(0.2 * moved)
    episodes, algorithm = sampled_near(model, config), config.experiment.algorithm
    rows = rows_of(episodes, "window")
    returns = [episode.env_return - episode.penalty for episode in episodes]
    if credit == "episode":
        expected = [value - statistics.fmean(others(episodes, number, returns)) for number, value in enumerate(returns)]
        advantages = [expected[row.episode] for row in rows]
    else:
        advantages = row_advantages(rows, episodes, algorithm).tolist()
    loss = reference_rloo_loss(model, initial, rows, advantages, algorithm)
    gradient = reference_gradient(model, loss)
    records = []
    measured = gradients_of_steps(config, model, tmp_path, lambda _: episodes, records)
    assert records[0]["loss"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    assert 0 < records[0]["clip_ratio"] < 1
    assert records[0]["kl"] > 0
    assert_same_gradient(measured[0], gradient)


def others(episodes, number, values):
    own = episodes[number]
    return [
        value
        for episode, value in zip(episodes, values, strict=True)
        if episode.group == own.group and episode is not own
    ]


def test_rloo_on_full_contexts_has_a_gradient_from_actions_only(tmp_path):
    """At the sampling policy the ratio is 1: the gradient is that of -sum over actions of A log p, a row's mean."""
    config, model = run_config("full", algorithm=ALGORITHMS["rloo"] | {"optimizer_steps": 1}), tiny_model()
    episodes = collect_from(model, config)(1)
    returns = [episode.env_return - episode.penalty for episode in episodes]
    losses = []
    for number, row in enumerate(rows_of(episodes, "full")):
        advantage = returns[number] - statistics.fmean(others(episodes, number, returns))
        losses.append(-advantage * action_logps(full_log_softmax(model, row), row).sum())
    gradient = reference_gradient(model, torch.stack(losses).mean())
    records = []
    measured = gradients_of_steps(config, model, tmp_path, lambda _: episodes, records)
    assert_same_gradient(measured[0], gradient)
    turns = [turn for episode in episodes for turn in episode.turns]
    sampled = [entropy for turn in turns for entropy in turn.action_entropies]
    assert records[0]["entropy"] == pytest.approx(statistics.fmean(sampled), rel=0.1)


def with_critic(model, seed=11):
    """Weights for the value head, so that values are not all 0."""
    torch.manual_seed(seed)
    model.value_head.weight.data.normal_()
    return model


def reference_ppo_loss(model, rows, episodes, config):
    """PPO-clip with whitened GAE and clipped value loss from full logits, one token after the other."""
    algorithm = config.experiment.algorithm
    values, logps, entropies = [], [], []
    for row in rows:
        output = model(input_ids=torch.tensor([row.prompt_ids + row.completion_ids]), output_hidden_states=True)
        log_softmax, before = (
            output.logits[0].log_softmax(-1),
            [len(row.prompt_ids) + place - 1 for place in action_places(row)],
        )
        values.append(model.value_head(output.hidden_states[-1][0, before])[:, 0])
        logps.append(action_logps(log_softmax, row))
        entropies.append(entropies_of(log_softmax, row))
    old = [value.detach() for value in values]
    critic = algorithm.ppo
    advantages = advantages_of_rows(rows, episodes, old, discount=critic.discount, trace=critic.gae_lambda)
    targets = torch.cat(advantages) + torch.cat(old)
    advantage = (torch.cat(advantages) - torch.cat(advantages).mean()) / (torch.cat(advantages).std() + 1e-4)
    sampled = torch.tensor([row.logprobs[place] for row in rows for place in action_places(row)])
    ratio = (torch.cat(logps) - sampled).exp()
    clipped = ratio.clamp(1 - algorithm.clip_low, 1 + algorithm.clip_high)
    policy = -torch.min(ratio * advantage, clipped * advantage).mean()
    value = 0.5 * ((torch.cat(values) - targets) ** 2).mean()
    return policy + critic.value_coefficient * value - algorithm.entropy_coefficient * torch.cat(entropies).mean()


@pytest.mark.parametrize("mode", ["full", "window"])
def test_ppo_loss_and_gradient_are_those_of_a_slow_actor_and_critic(tmp_path, mode):
    options = {"optimizer_steps": 1, "entropy_coefficient": 0.03}
    critic = {"ppo": {"gae_lambda": 0.9, "discount": 0.97, "value_coefficient": 0.3}}
    config, model = run_config(mode, algorithm=ALGORITHMS["ppo"] | CLIP | options | critic), tiny_model()
    sampler = tiny_model() if mode == "full" else tiny_model(seed=7)
    episodes = collect_from(sampler, config)(1)
    head = torch.nn.Linear(32, 1)
    model.value_head = head
    with_critic(model)
    loss = reference_ppo_loss(model, rows_of(episodes, mode), episodes, config)
    expected = reference_gradient(model, loss)
    weights = head.state_dict()
    del model.value_head

    def collect(_):
        model.value_head.load_state_dict(weights)
        return episodes

    records = []
    measured = gradients_of_steps(config, model, tmp_path, collect, records)
    assert records[0]["loss"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    assert records[0]["value_loss"] > 0
    assert_same_gradient(measured[0], expected)


def test_the_critic_learns_at_its_own_rate(tmp_path):
    config = run_config(algorithm=ALGORITHMS["ppo"] | {"ppo": {"critic_learning_rate": 0.05}}, updates=UPDATES)
    model, records = tiny_model(), []
    trainer = make_trainer(config, model, tmp_path, on_update=lambda record, _: records.append(record))
    assert sum(len(group["params"]) for group in trainer.optimizer.param_groups) == len(list(model.parameters()))
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [1e-3, 1e-3, 0.05]
    trainer.train_to(1)
    # Adam's first steps are as large as the learning rate: two of them.
    assert model.value_head.bias.abs().item() == pytest.approx(0.1, rel=0.3)
    assert records[0]["explained_variance"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("mode", ["full", "window"])
def test_gigpo_adds_the_steps_advantage_to_the_episodes(tmp_path, mode):
    options = {"optimizer_steps": 1, "gigpo": {"step_weight": 0.7, "discount": 0.9}}
    config, model = run_config(mode, algorithm=ALGORITHMS["gigpo"] | options, micro_batch_rows=64), tiny_model()
    episodes = collect_from(model, config)(1)
    algorithm = config.experiment.algorithm
    steps, rows = step_advantages(episodes, algorithm), rows_of(episodes, "window")
    of_episode = row_advantages(rows, episodes, algorithm)
    expected = {
        tuple(row.prompt_ids[-3:] + row.completion_ids[:2]): value + 0.7 * steps[row.episode][row.turn]
        for row, value in zip(rows, of_episode.tolist(), strict=True)
    }
    assert any(step.abs().max() > 0 for step in steps)
    trainer = make_trainer(config, model, tmp_path, collect=lambda _: episodes)
    seen = []
    compute = trainer._compute_loss
    trainer._compute_loss = lambda model, inputs: (seen.append(inputs), compute(model, inputs))[1]
    trainer.train_to(1)
    (inputs,) = seen
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    offset, found = inputs["prompt_ids"].size(1), 0
    for row, place in (inputs["tool_mask"] * inputs["completion_mask"]).nonzero().tolist():
        key = tuple(ids[row, offset + place - 3 : offset + place + 2].tolist())
        if place and inputs["tool_mask"][row, place - 1]:
            assert inputs["advantages"][row, place] == inputs["advantages"][row, place - 1]
        else:
            assert inputs["advantages"][row, place].item() == pytest.approx(expected[key].item(), rel=1e-4)
            found += 1
    assert found == sum(len(episode.turns) for episode in episodes)


@pytest.mark.parametrize("mode", ["full", "window"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_split_changes_the_gradient_of_an_update(tmp_path, mode, name):
    """Accumulation 1, 2, 4, 8 and optimizer steps: the mean over the steps' gradients is always the same."""

    def update_gradient(steps, micro_batch_rows):
        algorithm = ALGORITHMS[name] | {"optimizer_steps": steps, "entropy_coefficient": 0.01}
        config = run_config(mode, algorithm=algorithm, world_model={"enabled": True}, micro_batch_rows=micro_batch_rows)
        model = tiny_model()
        episodes = off_policy(model, config)

        def collect(_):
            if name == "ppo":
                model.value_head.weight.data.fill_(0.1)
            return episodes

        gradients = gradients_of_steps(config, model, tmp_path, collect)
        assert len(gradients) == steps
        return torch.stack(gradients).mean(0)

    whole = update_gradient(1, 64)
    for steps, micro_batch_rows in [(1, 4), (1, 2), (1, 1), (2, 2)]:
        assert_same_gradient(update_gradient(steps, micro_batch_rows), whole)
