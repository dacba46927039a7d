import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from envs_games import small_config, write_games

from paw_bench.envs.pool import EnvironmentHung, EnvironmentPool
from paw_bench.envs.protocol import Task

TURNS = 12
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    root = tmp_path_factory.mktemp("pool")
    os.environ["PAW_BENCH_CACHE"] = str(root / "cache")
    yield [Task(path.parent.name, "any", str(path)) for path in write_games(root, "train", range(3))]
    del os.environ["PAW_BENCH_CACHE"]


@pytest.fixture(scope="module")
def pool(tasks):
    with EnvironmentPool(small_config(), workers=2, timeout_s=20) as pool:
        yield pool


def play(pool, assignments, disturb=lambda turn: None):
    """Random episodes in all slots; what each slot saw."""
    histories = [[opening] for opening in pool.reset(assignments)]
    rngs = [random.Random(slot) for slot in range(len(assignments))]
    for turn in range(TURNS):
        disturb(turn)
        actions = {
            slot: rngs[slot].choice([*history[-1].admissible, "dance"])
            for slot, history in enumerate(histories)
            if not history[-1].done
        }
        for slot, result in pool.step(actions).items():
            histories[slot].append(result)
    return histories


def play_in_flight(pool, assignments, disturb=lambda number: None):
    """The episodes of `play`, each at its own pace."""
    pool.clear()
    pool.begin(dict(enumerate(assignments)))
    histories = [[] for _ in assignments]
    rngs = [random.Random(slot) for slot in range(len(assignments))]
    running, polls = len(assignments), 0
    while running:
        arrived = pool.poll(None)
        disturb(polls)
        polls += 1
        for slot, result in arrived.items():
            histories[slot].append(result)
            if result.done or len(histories[slot]) > TURNS:
                running -= 1
            else:
                pool.act({slot: rngs[slot].choice([*result.admissible, "dance"])})
    return histories


@pytest.fixture(scope="module")
def assignments(tasks):
    return [(task, 0) for task in tasks for _ in range(3)]


@pytest.fixture(scope="module")
def undisturbed(pool, assignments):
    return play(pool, assignments)


def kill(pool, seat, number):
    os.kill(pool._seats[seat].process.pid, number)


def test_results_do_not_depend_on_the_number_of_workers(assignments, undisturbed):
    with EnvironmentPool(small_config(), workers=1, timeout_s=20) as single:
        assert play(single, assignments) == undisturbed


def test_episodes_of_one_task_share_a_worker_and_the_rest_is_balanced(pool, undisturbed):
    seats = [pool._episodes[slot].seat for slot in range(9)]
    assert all(len(set(seats[first : first + 3])) == 1 for first in (0, 3, 6))
    assert sorted(seats.count(seat) for seat in (0, 1)) == [3, 6]


def test_results_come_in_the_order_of_the_actions(pool, assignments):
    pool.reset(assignments)
    assert list(pool.step({5: "look", 0: "look", 7: "look"})) == [5, 0, 7]


def test_killed_workers_leave_no_trace_in_the_episodes(pool, assignments, undisturbed):
    before = pool.redone
    disturbances = {0: 0, 5: 1, 6: 0}
    assert (
        play(pool, assignments, lambda turn: turn in disturbances and kill(pool, disturbances[turn], signal.SIGKILL))
        == undisturbed
    )
    assert pool.redone - before == 6 + 3 + 6
    assert pool.failures == []


def test_episodes_in_flight_are_those_in_step_also_when_workers_are_killed(pool, assignments, undisturbed):
    assert play_in_flight(pool, assignments) == undisturbed
    before = pool.redone
    deaths = {1: 0, 8: 1}
    found = play_in_flight(pool, assignments, lambda poll: poll in deaths and kill(pool, deaths[poll], signal.SIGKILL))
    assert found == undisturbed
    assert pool.redone > before
    assert pool.failures == []
    assert pool.poll(None) == {}


def test_answers_wait_while_nobody_asks_and_a_dropped_episode_is_not_replayed(pool, assignments):
    """An engine may generate for longer than workers may be silent, and answers may be more than a socket holds."""
    pool.clear()
    pool.begin(dict(enumerate(assignments)))
    openings = {}
    while len(openings) < len(assignments):
        openings |= pool.poll(None)
    patience, pool._timeout_s = pool._timeout_s, 0.5
    pool.act(dict.fromkeys(openings, "look"))
    time.sleep(2.0)
    before, answers = pool.redone, pool.poll(0.0)
    pool._timeout_s = patience
    while len(answers) < len(assignments):
        answers |= pool.poll(None)
    assert pool.redone == before
    for slot in range(8):
        pool.drop(slot)
    for seat in (0, 1):
        kill(pool, seat, signal.SIGKILL)
    pool.act({8: "look"})
    assert list(pool.poll(None)) == [8]
    assert pool.redone == before + 1
    pool.reset(assignments)  # the other worker is replaced as well


def test_a_hung_worker_is_replaced(assignments, undisturbed):
    with EnvironmentPool(small_config(), workers=2, timeout_s=5) as pool:
        stopped = []

        def disturb(turn):
            if turn == 4:
                stopped.append(pool._seats[0].process)
                kill(pool, 0, signal.SIGSTOP)

        assert play(pool, assignments, disturb) == undisturbed
        assert pool.redone == 6
        assert stopped[0].returncode == -signal.SIGKILL


def test_a_game_that_hangs_every_worker_is_given_up_and_the_others_go_on(tasks, tmp_path):
    os.mkfifo(tmp_path / "game.tw-pddl")
    hanging = Task("hanging", "any", str(tmp_path / "game.tw-pddl"))
    with EnvironmentPool(small_config(), workers=1, timeout_s=2) as pool:
        first, lost, last = pool.reset([(tasks[0], 0), (hanging, 5), (tasks[1], 0)])
        assert (lost.done, lost.success, lost.admissible) == (True, False, ())
        assert (first.done, last.done) == (False, False)
        (failure,) = pool.failures
        assert (failure.task_id, failure.seed, failure.turn, failure.action) == ("hanging", 5, 0, None)
        assert "no answer within 2 s" in failure.reason
        assert set(pool.step({0: "look", 2: "look"})) == {0, 2}


def test_an_environment_that_hangs_in_every_game_is_named(tasks, tmp_path):
    games = []
    for name in ("a", "b", "c", "d"):
        os.mkfifo(tmp_path / f"{name}.tw-pddl")
        games.append(Task(name, "any", str(tmp_path / f"{name}.tw-pddl")))
    with (
        EnvironmentPool(small_config(), workers=2, timeout_s=1) as pool,
        pytest.raises(EnvironmentHung, match=r"3 games in a row cost two workers each \(no answer within 1 s\)"),
    ):
        pool.reset([(task, 0) for task in (tasks[0], *games)])


def test_an_environment_that_raises_stops_the_pool_with_its_traceback(tasks, tmp_path):
    with EnvironmentPool(small_config(), workers=1, timeout_s=20) as pool:
        with pytest.raises(RuntimeError, match=r"(?s)task gone failed after 0 actions.*FileNotFoundError"):
            pool.reset([(Task("gone", "any", str(tmp_path / "game.tw-pddl")), 0)])
        with pytest.raises(RuntimeError, match="the pool is closed"):
            pool.reset([(tasks[0], 0)])


@needs_proc
def test_workers_are_small_and_fixed(pool, undisturbed):
    for seat in pool._seats:
        maps = Path(f"/proc/{seat.process.pid}/maps").read_text()
        assert "/torch/" not in maps
        environment = Path(f"/proc/{seat.process.pid}/environ").read_text().split("\0")
        assert {"PYTHONHASHSEED=0", "OMP_NUM_THREADS=1"} <= set(environment)


def test_the_pool_itself_imports_neither_torch_nor_the_games():
    script = "import sys, paw_bench.envs.pool, paw_bench.envs.panels; print({'torch', 'alfworld'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert run.stdout == "set()\n"


OWNER = """
import signal, sys
from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.envs.protocol import Task
# A background job of a shell inherits an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with EnvironmentPool(EnvironmentConfig(), workers=2, timeout_s=20) as pool:
        print(*[seat.process.pid for seat in pool._seats], flush=True)
        while True:
            pool.reset([(Task("a", "any", sys.argv[1]), 0)] * 4)
except KeyboardInterrupt:
    print("stopped")
"""


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_owner_and_say_nothing(tasks, number):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, tasks[0].location],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    time.sleep(1.5)
    os.killpg(owner.pid, number)  # what Ctrl-C does: the whole group gets it
    out, err = owner.communicate(timeout=240)
    assert err == ""
    assert out == ("stopped\n" if number == signal.SIGINT else "")
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a worker outlives its owner"
        time.sleep(0.05)
