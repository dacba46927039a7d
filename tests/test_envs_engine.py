import json
import random
import subprocess
import sys
from pathlib import Path

import fast_downward
import orjson
import pytest
from envs_games import SMALL, winning_walk, write_games

from paw_bench.envs.alfworld.engine import NOTHING_HAPPENS, Engine
from paw_bench.envs.alfworld.oracle import oracle_commands
from paw_bench.envs.alfworld.sas import SasTask, packed_task
from paw_bench.envs.alfworld.translation import translation_of

STOCK = Path(__file__).parent / "stock_alfworld.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("games")


@pytest.fixture(scope="module")
def games(folder):
    """Twenty games: small ones of all types, and some on the largest floor plans."""
    return write_games(folder, "train", range(17)) + write_games(folder, "valid_unseen", range(3), cap=None)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder / "translations")


def test_every_text_list_reward_and_ending_is_that_of_stock(engine, games, folder):
    walks = [(path, winning_walk(engine.open(path), path, random.Random(str(path.name)), after=4)) for path in games]
    (folder / "walks.json").write_text(json.dumps([(str(path), commands) for path, commands in walks]))
    subprocess.run([sys.executable, STOCK, folder / "walks.json", folder / "stock.json"], check=True, timeout=1800)
    expected = json.loads((folder / "stock.json").read_text())

    fresh = Engine(folder / "translations")
    for (path, commands), transcript in zip(walks, expected, strict=True):
        game = fresh.open(path)
        node, other = game.root, game.root
        rng = random.Random(0)
        assert [game.opening, list(node.admissible)] == transcript[0]
        for command, line in zip(commands, transcript[1:], strict=True):
            # A second episode on the same graph must not be noticed by the first.
            _, other = game.play(other, rng.choice(other.admissible))
            feedback, node = game.play(node, command)
            assert [feedback, list(node.admissible), int(node.won), node.won] == line, (path, command)
        assert any(line[2] for line in transcript[1:])


def test_sas_states_are_those_of_fast_downward(games):
    library = fast_downward.load_lib()
    for path in (games[3], games[19]):
        data = orjson.loads(path.read_bytes())
        _, sas = fast_downward.pddl2sas(data["pddl_domain"], data["pddl_problem"])
        task = SasTask(packed_task(sas))
        library.load_sas(sas.encode())
        state, rng = task.initial, random.Random(1)
        for _ in range(150):
            operators = (fast_downward.Operator * library.get_applicable_operators_count())()
            library.get_applicable_operators(operators)
            ours = task.applicable(state)
            assert sorted(operator.id for operator in operators) == [operator.number for operator in ours]
            assert task.goal_holds(state) == library.check_goal()
            chosen = rng.choice(ours)
            library.apply_operator(chosen.number, (fast_downward.Atom * len(chosen.effects))())
            state = task.after(state, chosen)
            atoms = (fast_downward.Atom * library.get_state_size())()
            library.get_state(atoms)
            assert [not atom.name.startswith("Negated") for atom in atoms] == [
                bool(state >> variable & 1) for variable in range(len(atoms))
            ]


def test_a_command_that_is_not_listed_changes_nothing(engine, games):
    game = engine.open(games[0])
    assert game.play(game.root, "open the window") == (NOTHING_HAPPENS, game.root)


def test_equal_states_are_one_node_whatever_led_there(engine, games):
    game = engine.open(games[0])
    first, second = [command for command in game.root.admissible if command.startswith("go to ")][:2]
    there = game.play(game.root, first)[1]
    round_trip = game.play(game.play(there, second)[1], first)[1]
    assert round_trip is there
    assert game.play(there, "look")[1] is there


def test_a_translation_is_kept_and_a_damaged_one_is_made_again(games, tmp_path):
    data = orjson.loads(games[0].read_bytes())
    made = translation_of(data["pddl_domain"], data["pddl_problem"], tmp_path)
    (kept,) = tmp_path.rglob("*.json.gz")
    written = kept.stat().st_mtime_ns
    assert translation_of(data["pddl_domain"], data["pddl_problem"], tmp_path) == made
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(kept.read_bytes()[:100])
    assert translation_of(data["pddl_domain"], data["pddl_problem"], tmp_path) == made
    assert len(kept.read_bytes()) > 100


def test_a_cache_that_cannot_be_written_does_not_stop_a_game(games, tmp_path):
    (tmp_path / "file").touch()
    assert Engine(tmp_path / "file").open(games[0]).root.admissible


def test_translating_leaves_the_command_line_alone(games):
    before = list(sys.argv)
    data = orjson.loads(games[0].read_bytes())
    translation_of(data["pddl_domain"], data["pddl_problem"], None)
    assert sys.argv == before


@pytest.mark.parametrize(
    ("split", "count", "cap"), [("train", 24, SMALL), ("valid_seen", 24, SMALL), ("valid_unseen", 12, None)]
)
def test_the_oracle_wins_every_game(split, count, cap, folder, tmp_path):
    engine = Engine(folder / "translations")
    for path in write_games(tmp_path, split, range(count), cap):
        game = engine.open(path)
        node = game.root
        for command in oracle_commands(game, path.parent):
            assert not node.won
            assert command in node.admissible
            node = game.play(node, command)[1]
        assert node.won, path
