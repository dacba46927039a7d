import pytest
from experiment_files import ARMS, HEAD, SEEDS, load

from paw_bench.config.merge import differences
from paw_bench.config.schema import ExperimentConfig
from paw_bench.errors import ConfigError
from paw_bench.sweep.identity import run_id
from paw_bench.sweep.plan import plan, undeclared

AXES = "axes: { algorithm.groups: [2, 4], world_model.loss.rho: [0.1, 0.2, 0.3] }\n"


def refuse(folder, text, *overrides):
    with pytest.raises(ConfigError, match="remedy: ") as caught:
        plan(load(folder, text, *overrides))
    return caught.value


def test_every_arm_is_run_at_every_point_with_every_seed(tmp_path):
    arms = "arms:\n  control: { world_model: shuffled }\n  paw: { world_model: paw }\n"
    planned = plan(load(tmp_path, HEAD + arms + AXES + SEEDS))
    runs = {(run.arm, run.axes["algorithm.groups"], run.axes["world_model.loss.rho"], run.seed) for run in planned.runs}
    assert len(planned.runs) == len(runs) == 2 * 2 * 3 * 2
    assert len({run.run_id for run in planned.runs}) == len(runs)
    for run in planned.runs:
        experiment = run.config.experiment
        assert experiment.algorithm.groups == run.axes["algorithm.groups"]
        assert experiment.world_model.loss.rho == run.axes["world_model.loss.rho"]
        assert experiment.seed == run.seed
        assert run.run_id == run_id(experiment)
        assert run.config.execution == planned.file.execution


def test_every_arm_gets_its_first_seed_before_any_gets_its_second(tmp_path):
    runs = plan(load(tmp_path, HEAD + ARMS + SEEDS)).runs
    assert [(run.arm, run.seed) for run in runs] == [("grpo", 0), ("paw", 0), ("grpo", 1), ("paw", 1)]


def test_a_planned_config_is_what_validating_it_alone_gives(tmp_path):
    text = (
        HEAD + ARMS.replace("grpo: {}", "echo: { world_model: echo }") + "axes: { algorithm.groups: [2, 4] }\n" + SEEDS
    )
    for run in plan(load(tmp_path, text)).runs:
        assert ExperimentConfig.model_validate(run.config.experiment.model_dump()) == run.config.experiment


def test_changes_are_those_of_the_resolved_configs(tmp_path):
    planned = plan(load(tmp_path, f"{HEAD}{ARMS}  big: {{ algorithm: {{ groups: 9, epochs: 1 }} }}\n{SEEDS}"))
    assert planned.changes == {
        "grpo": {},
        "paw": {"world_model.enabled": (False, True)},
        "big": {"algorithm.groups": (8, 9)},
    }


def test_changes_are_told_against_the_base_where_the_reference_changes_it_too(tmp_path):
    text = f"{HEAD}reference: paw\narms:\n  grpo: {{ world_model: none }}\n  paw: {{ world_model: paw }}\n{SEEDS}"
    planned = plan(load(tmp_path, text))
    assert planned.changes == {"grpo": {}, "paw": {"world_model.enabled": (False, True)}}
    assert planned.file.comparisons == (("grpo", "paw"),)


def test_runs_of_one_seed_differ_only_in_what_their_arms_name(tmp_path):
    text = f"{HEAD}{ARMS}  big: {{ algorithm: {{ groups: 9 }} }}\naxes: {{ training.updates: [3, 4] }}\n{SEEDS}"
    runs = plan(load(tmp_path, text)).runs
    chosen = [run for run in runs if (run.seed, run.axes["training.updates"]) == (1, 4)]
    by_arm = {run.arm: run.config.experiment.model_dump() for run in chosen}
    assert set(differences(by_arm["grpo"], by_arm["big"])) == {("algorithm", "groups")}
    assert set(differences(by_arm["grpo"], by_arm["paw"])) == {("world_model", "enabled")}


def test_the_proof_finds_a_difference_that_no_delta_names():
    base = ExperimentConfig().model_dump()
    arm = ExperimentConfig.model_validate({"algorithm": {"groups": 3, "epochs": 2}}).model_dump()
    assert undeclared(base, arm, frozenset({("algorithm", "groups")})) == ["algorithm.epochs"]
    assert undeclared(base, arm, frozenset({("algorithm", "groups"), ("algorithm", "epochs")})) == []


def test_a_config_that_leaks_between_arms_stops_the_plan(tmp_path, monkeypatch):
    from paw_bench.config.experiment_file import ExperimentFile

    honest = ExperimentFile.resolve

    def leaking(self, arm, point):
        config = honest(self, arm, point)
        leak = config.training.model_copy(update={"updates": 999})
        return config.model_copy(update={"training": leak}) if arm == "paw" else config

    file = load(tmp_path, HEAD + ARMS + SEEDS)
    monkeypatch.setattr(ExperimentFile, "resolve", leaking)
    with pytest.raises(RuntimeError, match=r"arm 'paw' differs in training\.updates"):
        plan(file)


def test_an_axis_that_makes_two_runs_one_is_refused_and_explained(tmp_path):
    text = f"{HEAD}{ARMS}axes: {{ model: [{{ name: x }}, {{ name: x, dtype: float32 }}] }}\n{SEEDS}"
    error = refuse(tmp_path, text)
    assert "gives the same run as arm grpo, model = {'name': 'x'}, seed 0: run id" in str(error)


def test_an_impossible_axis_value_names_the_arm_and_the_point(tmp_path):
    arms = "arms:\n  ref: {}\n  control: { world_model: shuffled }\n"
    base = "base: { algorithm: { penalty_credit: episode } }\n"
    error = refuse(tmp_path, f"{HEAD}{arms}axes: {{ context.mode: [window, full] }}\n{SEEDS}{base}")
    assert "in arm 'control' at context.mode = 'full'" in str(error)
    assert error.file.endswith("mine.yaml:6")


@pytest.mark.parametrize(
    ("arm", "key", "words"),
    [
        ("world_model: { loss: { kind: mae } }", "arms.x.world_model.loss.kind", "world_model.enabled is false"),
        ("world_model: { preset: paw, loss: { kind: mae, rho: 0.3 } }", "arms.x.world_model.loss.rho", "clips nothing"),
        (
            "world_model: { preset: echo, balance: { max_return: 1 } }",
            "arms.x.world_model.balance.max_return",
            "constant",
        ),
        ("world_model: { preset: paw, loss: { q: 0.5 } }", "arms.x.world_model.loss.q", "has no exponent"),
        (
            "world_model: { preset: tapo, balance: { over: update } }",
            "arms.x.world_model.balance.over",
            "does not look at returns",
        ),
        (
            "context: { mode: full, turns: 3 }, algorithm: { penalty_credit: episode }",
            "arms.x.context.turns",
            "has no window",
        ),
        ("algorithm: { ppo: { discount: 0.9 } }", "arms.x.algorithm.ppo.discount", "algorithm.name is 'grpo'"),
        ("algorithm: { name: rloo, loss_type: grpo }", "arms.x.algorithm.loss_type", "averages over rows"),
        ("algorithm: { name: ppo, penalty_credit: episode }", "arms.x.algorithm.penalty_credit", "at its own turn"),
        ("environment: { games: { source: data, seed: 3 } }", "arms.x.environment.games.seed", "generates no games"),
    ],
)
def test_a_key_that_nothing_reads_is_refused(tmp_path, arm, key, words):
    error = refuse(tmp_path, f"{HEAD}arms:\n  ref: {{}}\n  x: {{ {arm} }}\n{SEEDS}")
    assert error.key == key
    assert error.file.endswith("mine.yaml:5")
    assert "has no effect: " in str(error)
    assert words in str(error)


def test_a_key_of_the_base_may_be_idle_in_some_arms_but_not_in_all(tmp_path):
    base = "base: { world_model: { loss: { rho: 0.3 } } }\n"
    arms = "arms:\n  off: {}\n  on: { world_model: { enabled: true } }\n"
    assert plan(load(tmp_path, HEAD + base + arms + SEEDS)).runs
    error = refuse(tmp_path, f"{HEAD}{base}arms:\n  off: {{}}\n{SEEDS}")
    assert error.key == "base.world_model.loss.rho"


def test_a_key_of_the_base_that_every_preset_covers_is_refused(tmp_path):
    base = "base: { world_model: { loss: { rho: 0.3 } } }\n"
    error = refuse(tmp_path, HEAD + base + ARMS + SEEDS)
    assert error.key == "base.world_model.loss.rho"
    assert "has no effect" in str(error)


@pytest.mark.parametrize("override", ["arms=off", "world_model.enabled=false", "training.updates=3"])
def test_an_override_may_take_the_sense_from_a_key_of_the_base(tmp_path, override):
    base = "base: { world_model: { loss: { rho: 0.3 } } }\n"
    arms = "arms:\n  off: {}\n  on: { world_model: { enabled: true }, algorithm: { groups: 3 } }\n"
    assert plan(load(tmp_path, HEAD + base + arms + SEEDS, override)).runs


def test_an_override_that_no_arm_reads_is_refused(tmp_path):
    error = refuse(tmp_path, f"{HEAD}arms:\n  off: {{}}\n{SEEDS}", "world_model.loss.rho=0.3")
    assert (error.file, error.key) == ("--set", "world_model.loss.rho")


def test_execution_does_not_make_another_run(tmp_path):
    ids = [
        [run.run_id for run in plan(load(tmp_path, HEAD + ARMS + SEEDS, *overrides)).runs]
        for overrides in ((), ("execution.micro_batch_rows=3",))
    ]
    assert ids[0] == ids[1]
