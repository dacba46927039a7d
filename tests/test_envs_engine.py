import random
import subprocess
import sys

import fast_downward
import orjson
import pytest
from envs_games import SMALL, write_games
from textworld.generator.game import EntityInfo

from benchmarks import alfworld_equal
from paw_bench.envs.alfworld.engine import NOTHING_HAPPENS, Commands, Engine, Game, Node
from paw_bench.envs.alfworld.oracle import oracle_commands
from paw_bench.envs.alfworld.sas import SasTask, packed_task
from paw_bench.envs.alfworld.translation import translation_of

# After ours, which imports alfworld without its side effects.
from alfworld.agents.utils.misc import Demangler  # isort: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("games")


@pytest.fixture(scope="module")
def games(folder):
    """Eight games: small ones of all types, and some on large floor plans."""
    return write_games(folder, "train", range(6)) + write_games(folder, "valid_unseen", range(2), cap=None)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder / "translations")


def test_every_text_list_reward_and_ending_is_that_of_stock(games, folder):
    environment = alfworld_equal.stock_environment()
    steps = [alfworld_equal.compare(path, environment, folder / "translations") for path in games]
    assert min(steps) > alfworld_equal.RANDOM_STEPS + 4


@pytest.mark.parametrize("where", ["text", "commands"])
def test_a_difference_from_stock_is_found(where, games, folder, monkeypatch):
    play = Game.play

    def wrong(game, node, command):
        text, following = play(game, node, command)
        if where == "text":
            return text.replace("You arrive at", "You reach"), following
        return text, Node(following.state, following.difference, Commands({"wait": None}), following.won)

    commands = [alfworld_equal.random_walk(Game(games[0], folder / "translations"), random.Random(0), 5)] * 2
    environment = alfworld_equal.stock_environment()
    environment.load(str(games[0]))
    monkeypatch.setattr(alfworld_equal, "winning_walk", lambda *_: commands[0])
    monkeypatch.setattr(alfworld_equal, "random_walk", lambda *_: commands[1])
    monkeypatch.setattr(Game, "play", wrong)
    with pytest.raises(alfworld_equal.Difference, match="stock:"):
        alfworld_equal.compare(games[0], environment, folder / "translations")


def test_names_are_numbered_as_alfworld_numbers_them(games, folder):
    for path in games:
        game = Game(path, folder / "translations")
        infos = {thing: EntityInfo(thing, "object") for thing in game.names}
        theirs = Demangler(game_infos=infos)
        assert game.names == {thing: theirs.demangle_alfred_name(thing) for thing in infos}


def test_playing_imports_neither_textworld_nor_fast_downward_nor_numpy(games, folder):
    Game(games[0], folder / "translations")
    script = (
        "import sys; from pathlib import Path; from paw_bench.envs.alfworld.engine import Engine\n"
        f"game = Engine(Path({str(folder / 'translations')!r})).open(Path({str(games[0])!r}))\n"
        "print(game.play(game.root, game.root.admissible[0])[0])\n"
        "print({'textworld', 'alfworld', 'fast_downward', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert run.stdout.endswith("set()\n")


def test_a_process_keeps_the_games_that_it_used_last_within_its_limit(games, folder, monkeypatch):
    monkeypatch.setattr("paw_bench.envs.alfworld.engine._WEIGHT_KEPT", 1000)
    engine = Engine(folder / "translations")
    first = engine.open(games[0])
    node = first.play(first.root, first.root.admissible[0])[1]
    others = [engine.open(path) for path in games[1:4]]
    assert engine.open(games[3]) is others[2]
    assert engine.open(games[0]) is not first
    text, following = Game(games[0], folder / "translations").play(node, "look")
    assert first.play(node, "look")[0] == text
    assert first.play(node, "look")[1].admissible == following.admissible


def test_sas_states_are_those_of_fast_downward(games):
    library = fast_downward.load_lib()
    for path in (games[3], games[7]):
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


def test_a_game_that_cannot_be_translated_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"translated failed on a game:\n(?s:.*)Error"):
        translation_of("(define (domain broken", "(define", tmp_path)


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
