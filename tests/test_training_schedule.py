"""When and how the world-model term is trained: together with RL, every n-th update, apart, alone, with extra rows."""

import statistics

import pytest
import torch
from training_data import collect_from, make_trainer, parameters, run_config, tiny_model

from paw_bench.rollout.episode import Source
from paw_bench.rollout.rows import rows_of

CE = {"enabled": True, "loss": {"kind": "ce"}, "selection": {"score": "none", "alpha": 1.0}}
NONE = {"enabled": False}
ALGORITHMS = {"grpo": {}, "rloo": {"name": "rloo", "scale_advantages": "none"}}


def scheduled(**schedule):
    return CE | {"schedule": schedule}


def with_parts(config, every):
    execution = config.execution.model_copy(update={"gradient_parts_every": every})
    return config.model_copy(update={"execution": execution})


def steps_of_update(folder, world_model, *, mode="window", algorithm=None, collect=None, parts=0):
    """The gradient at every optimizer step of one update, all taken at the initial weights and not clipped."""
    still = {"optimizer_steps": 1, "learning_rate": 1e-30, "max_grad_norm": 1e9}
    config = with_parts(run_config(mode, algorithm=still | (algorithm or {}), world_model=world_model), parts)
    model, gradients, records = tiny_model(), [], []
    episodes = collect_from(tiny_model(), config)(1)
    trainer = make_trainer(
        config, model, folder, collect=lambda _: episodes, on_update=lambda record, _: records.append(record)
    )
    trainer.optimizer.optimizer.register_step_pre_hook(
        lambda *_: gradients.append(torch.cat([p.grad.flatten().clone() for p in model.parameters()]))
    )
    trainer.train_to(1)
    return gradients, records[0]


def assert_close(measured, expected):
    assert (measured - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", ["full", "window"])
def test_a_joint_step_is_the_sum_of_a_step_of_each_part(tmp_path, mode, algorithm):
    def steps(world_model):
        return steps_of_update(tmp_path, world_model, mode=mode, algorithm=ALGORITHMS[algorithm])[0]

    (rl,), (joint,), (alone,) = steps(NONE), steps(CE), steps(scheduled(rl_term=False))
    first, second = steps(scheduled(separate=True))
    assert torch.equal(first, rl)
    assert_close(second, joint - rl)
    assert_close(alone, joint - rl)
    assert second.norm() > 0.1


@pytest.mark.parametrize("mode", ["full", "window"])
def test_the_term_takes_part_in_every_nth_update_only(tmp_path, mode):
    def trained(world_model):
        model, records = tiny_model(), []
        config = run_config(mode, world_model=world_model, updates=2)
        trainer = make_trainer(config, model, tmp_path, on_update=lambda record, _: records.append(record))
        trainer.train_to(1)
        first = parameters(model)
        trainer.train_to(2)
        return first, parameters(model), [record["wm"]["weight"] for record in records]

    plain, every_second = trained(NONE), trained(scheduled(every=2))
    apart = trained(scheduled(every=2, separate=True))
    assert torch.equal(every_second[0], plain[0])
    assert torch.equal(apart[0], plain[0])
    assert not torch.equal(every_second[1], plain[1])
    assert not torch.equal(apart[1], plain[1])
    assert not torch.equal(apart[1], every_second[1])
    assert plain[2] == [0.0, 0.0]
    assert every_second[2][0] == apart[2][0] == 0.0
    assert every_second[2][1] == apart[2][1] > 0.0


def test_inverse_dynamics_is_the_cross_entropy_of_the_action_given_both_observations(tmp_path):
    """Against a slow full-logits reference; the RL part stays what it is."""
    world_model = CE | {"balance": {"kind": "constant", "value": 0.5}}
    without, plain_record = steps_of_update(tmp_path, world_model, algorithm={"loss_type": "grpo"})
    with_rows, record = steps_of_update(
        tmp_path, world_model | {"inverse_dynamics": True}, algorithm={"loss_type": "grpo"}
    )
    model, config = tiny_model(), run_config()
    episodes = collect_from(tiny_model(), config)(1)
    losses = {0: [], 1: []}
    for row in rows_of(episodes, "window"):
        parts = {source: [] for source in Source}
        for token, source in zip(row.completion_ids, row.sources, strict=True):
            parts[source].append(token)
        action = parts[Source.ACTION]
        ids = row.prompt_ids + parts[Source.OBSERVATION] + parts[Source.TEMPLATE] + action
        log_softmax = model(input_ids=torch.tensor([ids])).logits[0, -len(action) - 1 : -1].log_softmax(-1)
        losses[row.group].append(-log_softmax.gather(-1, torch.tensor(action)[:, None]).mean())
    loss = 0.5 * torch.stack([torch.stack(group).mean() for group in losses.values()]).mean()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    assert_close(with_rows[0] - without[0], expected)
    assert record["rows"] == plain_record["rows"]
    assert record["wm"] == plain_record["wm"]
    assert record["rl_loss"] == plain_record["rl_loss"]


def test_inverse_dynamics_rows_are_not_trained_where_the_term_is_not(tmp_path):
    def steps(**schedule):
        return steps_of_update(tmp_path, scheduled(**schedule) | {"inverse_dynamics": True})[0]

    (plain,), (joint,) = steps_of_update(tmp_path, NONE)[0], steps()
    assert torch.equal(steps(every=2)[0], plain)
    first, second = steps(separate=True)
    assert torch.equal(first, plain)
    assert_close(second, joint - plain)


@pytest.mark.parametrize("mode", ["full", "window"])
def test_the_gradients_of_the_parts_are_measured_beside_the_step(tmp_path, mode):
    (rl,), plain = steps_of_update(tmp_path, NONE, mode=mode, parts=1)
    (joint,), record = steps_of_update(tmp_path, CE, mode=mode, parts=1)
    (unmeasured,), silent = steps_of_update(tmp_path, CE, mode=mode)
    assert torch.equal(joint, unmeasured)
    wm = joint - rl
    assert record["gradients"] == pytest.approx(
        {
            "rl": rl.norm().item(),
            "wm": wm.norm().item(),
            "cosine": torch.cosine_similarity(rl, wm, dim=0).item(),
        },
        rel=1e-3,
    )
    assert plain["gradients"] == silent["gradients"] == {"rl": None, "wm": None, "cosine": None}


def test_the_gradients_of_the_parts_are_measured_in_every_nth_update(tmp_path):
    records = []
    config = with_parts(run_config(world_model=CE, updates=5), 2)
    trainer = make_trainer(config, tiny_model(), tmp_path, on_update=lambda record, _: records.append(record))
    trainer.train_to(5)
    assert [record["gradients"]["rl"] is not None for record in records] == [False, True, False, True, False]
    assert statistics.fmean(abs(record["gradients"]["cosine"]) for record in records[1::2]) < 1.0
