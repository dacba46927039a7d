"""Loss and gradient of an update against slow full-logits references, whatever the split into micro-batches."""

import math
import statistics

import pytest
import torch
from training_data import (
    assert_same_gradient,
    collect_from,
    full_log_softmax,
    gradients_of_steps,
    reference_gradient,
    run_config,
    tiny_model,
)
from transformers import AutoModelForCausalLM

from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import rows_of

CLIP = {"clip_low": 0.2, "clip_high": 0.28}
ONE_STEP = {"optimizer_steps": 1}


def off_policy_episodes(model, config):
    """Episodes whose engine log-probabilities are another model's, so that ratios differ from 1 and clipping acts."""
    return collect_from(tiny_model(seed=7), config)(1)


def reference_rl_loss(model, reference, episodes, config) -> torch.Tensor:
    """PPO-clip with k3 KL and entropy bonus, one unpadded row and one token after the other."""
    episodes = sorted_episodes(episodes)
    algorithm = config.experiment.algorithm
    groups = {}
    for episode in episodes:
        groups.setdefault(episode.group, []).append(sum(turn.reward - turn.penalty for turn in episode.turns))
    everything = [value for values in groups.values() for value in values]
    rows = rows_of(episodes, "window")
    row_losses, token_losses, entropies = [], [], []
    for row in rows:
        values = groups[row.group]
        spread = {"group": statistics.stdev(values), "batch": statistics.stdev(everything), "none": 1.0 - 1e-4}
        own = sum(turn.reward - turn.penalty for turn in episodes[row.episode].turns)
        advantage = (own - statistics.fmean(values)) / (spread[algorithm.scale_advantages] + 1e-4)
        log_softmax = full_log_softmax(model, row)
        initial = full_log_softmax(reference, row).detach()
        losses = []
        for place, (label, source) in enumerate(zip(row.completion_ids, row.sources, strict=True)):
            if source != Source.ACTION:
                continue
            position = len(row.prompt_ids) + place - 1
            logp = log_softmax[position, label]
            ratio = (logp - row.logprobs[place]).exp()
            clipped = ratio.clamp(1 - algorithm.clip_low, 1 + algorithm.clip_high)
            loss = -torch.min(ratio * advantage, clipped * advantage)
            away = initial[position, label] - logp
            losses.append(loss + algorithm.kl_coefficient * (away.exp() - away - 1))
            entropies.append(-(log_softmax[position].exp() * log_softmax[position]).sum())
        row_losses.append(torch.stack(losses).mean())
        token_losses += losses
    loss = {
        "dapo": torch.stack(token_losses).mean(),
        "bnpo": torch.stack(token_losses).mean(),
        "grpo": torch.stack(row_losses).mean(),
        "dr_grpo": torch.stack(token_losses).sum() / (len(rows) * config.experiment.context.max_response_tokens),
    }[algorithm.loss_type]
    return loss - algorithm.entropy_coefficient * torch.stack(entropies).mean()


def reference_world_model_loss(model, episodes, rho=0.2, max_return=10.0, alpha=0.75) -> torch.Tensor:
    """mean over groups of lambda_g * mean over selected transitions of sum_i m_i (1 - p_i) / |o|."""
    episodes, rows = sorted_episodes(episodes), rows_of(episodes, "window")
    scores = [statistics.fmean(row.entropies[: row.sources.count(Source.ACTION)]) for row in rows]
    kept = sorted(range(len(rows)), key=lambda index: (-scores[index], index))[: math.ceil(alpha * len(rows))]
    group_losses = []
    for group in sorted({episode.group for episode in episodes}):
        returns = [episode.env_return for episode in episodes if episode.group == group]
        losses = []
        for row in (rows[index] for index in kept if rows[index].group == group):
            log_softmax = full_log_softmax(model, row)
            targets = [place for place, source in enumerate(row.sources) if source == Source.OBSERVATION]
            p = [log_softmax[len(row.prompt_ids) + place - 1, row.completion_ids[place]].exp() for place in targets]
            losses.append(torch.stack([(1 - value) * (value.item() <= rho) for value in p]).sum() / len(p))
        group_losses.append((1 - statistics.fmean(returns) / max_return) * torch.stack(losses).mean())
    return torch.stack(group_losses).mean()


def sorted_episodes(episodes):
    return sorted(episodes, key=lambda episode: (episode.group, episode.index))


@pytest.mark.parametrize(
    "algorithm",
    [
        {"loss_type": "dapo"},
        {"loss_type": "grpo", "scale_advantages": "batch"},
        {"loss_type": "bnpo", "scale_advantages": "none"},
        {"loss_type": "dr_grpo", "entropy_coefficient": 0.03},
        {"loss_type": "dapo", "kl_coefficient": 0.1, "entropy_coefficient": 0.03},
        {"loss_type": "grpo", "kl_coefficient": 0.1},
    ],
    ids=lambda algorithm: "-".join(str(value) for value in algorithm.values()),
)
def test_windowed_rl_loss_and_gradient_are_those_of_a_slow_ppo_clip(tmp_path, algorithm):
    config = run_config(algorithm=CLIP | ONE_STEP | algorithm)
    tiny_model(seed=3).save_pretrained(tmp_path / "initial")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "initial")
    with torch.no_grad():
        for parameter, moved in zip(model.parameters(), tiny_model(seed=4).parameters(), strict=True):
            parameter.add_(0.2 * moved)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "initial")
    episodes = off_policy_episodes(model, config)
    expected = reference_rl_loss(model, reference, episodes, config)
    gradient = reference_gradient(model, expected)

    records = []
    measured = gradients_of_steps(config, model, tmp_path, lambda _: episodes, records)
    assert records[0]["loss"] == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    assert records[0]["clip_ratio"] > 0.05
    assert_same_gradient(measured[0], gradient)


def test_world_model_loss_and_gradient_are_those_of_slow_full_logits(tmp_path):
    config = run_config(algorithm=ONE_STEP, world_model={"enabled": True})
    model = tiny_model()
    episodes = collect_from(model, config)(1)
    rl = reference_rl_loss(model, model, episodes, config)
    world_model = reference_world_model_loss(model, episodes)
    gradient = reference_gradient(model, rl + world_model)

    records = []
    measured = gradients_of_steps(config, model, tmp_path, lambda _: episodes, records)
    assert records[0]["loss"] - records[0]["rl_loss"] == pytest.approx(world_model.item(), rel=1e-5)
    assert_same_gradient(measured[0], gradient)


@pytest.mark.parametrize("mode", ["full", "window"])
@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo"])
def test_no_split_changes_the_gradient_of_an_update(tmp_path, mode, loss_type):
    """Micro-batches and optimizer steps: the mean over the steps' gradients is always the same."""

    def update_gradient(steps, micro_batch_rows):
        algorithm = {"optimizer_steps": steps, "loss_type": loss_type}
        if mode == "window":
            algorithm["entropy_coefficient"] = 0.01
        config = run_config(mode, algorithm=algorithm, world_model={"enabled": True}, micro_batch_rows=micro_batch_rows)
        model = tiny_model()
        episodes = off_policy_episodes(model, config)
        gradients = gradients_of_steps(config, model, tmp_path, lambda _: episodes)
        assert len(gradients) == steps
        return torch.stack(gradients).mean(0)

    whole = update_gradient(1, 64)
    for steps, micro_batch_rows in [(1, 3), (1, 1), (2, 4), (4, 1)]:
        assert_same_gradient(update_gradient(steps, micro_batch_rows), whole)
