"""`paw-bench games download`, against a server on this machine; the project's own addresses are never fetched here."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile

import pytest
from envs_games import write_games
from range_server import serving

from paw_bench.config.schema import EnvironmentConfig, GamesConfig
from paw_bench.envs.alfworld import download as module
from paw_bench.envs.alfworld.download import ARCHIVES, LOCK, download
from paw_bench.envs.alfworld.files import GAME_FILE, TRAJECTORY_FILE
from paw_bench.envs.panels import load_panels
from paw_bench.errors import StoreError, UserError

TRAJECTORIES, GAMES = ARCHIVES
DATA = GamesConfig(source="data", train=20, tune=1, valid_seen=6, valid_unseen=6)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Both archives, as the project has them: trajectories in one, games in the other."""
    games, folder = tmp_path_factory.mktemp("games"), tmp_path_factory.mktemp("published")
    # Every twentieth task folder of a type is held out: that many of one type.
    for split, count in (("train", 126), ("valid_seen", 6), ("valid_unseen", 6)):
        write_games(games, split, range(count))
    for archive, wanted in ((TRAJECTORIES, TRAJECTORY_FILE), (GAMES, GAME_FILE)):
        with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(games.rglob(wanted)):
                file.write(path, path.relative_to(games))
    return folder


@pytest.fixture
def server(published, tmp_path):
    shutil.copytree(published, tmp_path / "mirror")
    with serving(tmp_path / "mirror") as server:
        yield server


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def fetch(root, server):
    return download(root, lambda name: lambda there, total: None, url=server.address, wait_s=0)


def test_the_games_that_arrive_are_panels(root, server, monkeypatch):
    done = fetch(root, server)
    assert done.games == {"train": 126, "valid_seen": 6, "valid_unseen": 6}
    hashes = {name: hashlib.sha256((server.folder / name).read_bytes()).hexdigest() for name in ARCHIVES}
    assert done.archives == hashes
    lock = json.loads((root / LOCK).read_text())
    assert {name: entry["sha256"] for name, entry in lock["archives"].items()} == hashes
    assert not list(root.rglob("*.zip*"))
    monkeypatch.setenv("ALFWORLD_DATA", str(root))
    panels = load_panels(EnvironmentConfig(games=DATA))
    assert len(panels["valid_unseen"].tasks) == 6


def test_what_is_there_is_not_fetched_again(root, server):
    first = fetch(root, server)
    asked = len(server.asked)
    assert fetch(root, server) == first
    assert len(server.asked) == asked == 2


def test_a_connection_that_ends_is_taken_up_where_it_ended(root, server):
    size = (server.folder / GAMES).stat().st_size
    server.cut_after = size // 3
    assert fetch(root, server).games["train"] == 126
    resumed = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in server.asked if wanted]
    assert size // 3 in resumed
    assert resumed[-1] > size // 2


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on(root, server, signal_number):
    server.slow = True
    command = [sys.executable, "-m", "paw_bench.cli", "games", "download", "--url", server.address]
    environment = {**os.environ, "ALFWORLD_DATA": str(root)}
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    heeding = ["env", "--default-signal=INT", *command]
    process = subprocess.Popen(heeding, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = root / ".downloads" / f"{GAMES}.part"
    while not part.exists() or part.stat().st_size < 20_000:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal_number)
    process.communicate()
    there = part.stat().st_size
    server.slow = False
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"bytes={there}-" in server.asked
    assert "train 126, valid_seen 6, valid_unseen 6 games" in run.stdout
    assert fetch(root, server).archives[GAMES] == hashlib.sha256((server.folder / GAMES).read_bytes()).hexdigest()


def interrupted(root, server):
    """A download of which the server gave a part, and gives nothing more."""
    server.only_once, server.cut_after = True, 1000
    with pytest.raises(UserError, match=r"ended after 1000 bytes \(of \d+\)\n.*same command again"):
        fetch(root, server)
    server.only_once, server.cut_after = False, None
    return root / ".downloads" / f"{TRAJECTORIES}.part"


def test_a_truncated_file_is_kept_and_said(root, server):
    part = interrupted(root, server)
    assert part.stat().st_size == 1000
    assert fetch(root, server).games["train"] == 126


def test_a_server_without_ranges_cannot_resume(root, server):
    part = interrupted(root, server)
    server.ranges = False
    with pytest.raises(UserError, match=r"cannot go on after the 1000 bytes.*no ranges(?s:.*)delete .*part"):
        fetch(root, server)
    part.unlink()
    assert fetch(root, server).games["train"] == 126


def test_a_file_that_changed_in_between_is_not_put_together(root, server):
    interrupted(root, server)
    with zipfile.ZipFile(server.folder / TRAJECTORIES, "a") as file:
        file.writestr("json_2.1.1/new", "new")
    with pytest.raises(UserError, match="its file has changed"):
        fetch(root, server)


def test_an_archive_that_is_not_the_locked_one_is_refused_and_removed(root, server, tmp_path):
    fetch(root, server)
    other = tmp_path / "other"
    other.mkdir()
    lock = json.loads((root / LOCK).read_text())
    lock["archives"] = {name: {"sha256": entry["sha256"]} for name, entry in lock["archives"].items()}
    (other / LOCK).write_text(json.dumps(lock))
    with zipfile.ZipFile(server.folder / GAMES, "a") as file:
        file.writestr("json_2.1.1/train/new", "new")
    with pytest.raises(UserError, match=rf"{GAMES}: its SHA-256 is .* says {lock['archives'][GAMES]['sha256']}"):
        fetch(other, server)
    assert not list(other.rglob("*.zip"))
    assert not list(other.rglob(GAME_FILE))


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "json_2.1.1/../../outside", "a\\..\\..\\outside"])
def test_an_archive_cannot_write_elsewhere(name, root, server):
    with zipfile.ZipFile(server.folder / TRAJECTORIES, "w") as file:
        file.writestr("json_2.1.1/first", "first")
        file.writestr(name, "outside")
    with pytest.raises(UserError, match="outside the data's folder; nothing was unpacked"):
        fetch(root, server)
    assert not (root / "json_2.1.1").exists()


def test_an_archive_cannot_hold_links(root, server):
    entry = zipfile.ZipInfo("json_2.1.1/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(server.folder / TRAJECTORIES, "w") as file:
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        fetch(root, server)


def test_a_damaged_archive_is_removed(root, server):
    content = bytearray((server.folder / GAMES).read_bytes())
    content[2000:2100] = bytes(100)
    (server.folder / GAMES).write_bytes(content)
    with pytest.raises(UserError, match=f"{GAMES}: is damaged"):
        fetch(root, server)
    assert not (root / ".downloads" / GAMES).exists()


def test_what_is_no_archive_is_not_locked(root, server):
    (server.folder / TRAJECTORIES).write_text("<html>please log in</html>")
    with pytest.raises(UserError, match="is no zip archive"):
        fetch(root, server)
    assert not (root / LOCK).exists()


def test_a_missing_archive_and_a_server_that_is_not_there_are_named(root, server):
    (server.folder / TRAJECTORIES).unlink()
    with pytest.raises(UserError, match=f"mirror/{TRAJECTORIES}: the server answers 404"):
        fetch(root, server)
    with pytest.raises(UserError, match="the connection ended after 0 bytes"):
        download(root, lambda name: lambda there, total: None, url="http://127.0.0.1:9/nothing", wait_s=0)


@pytest.mark.parametrize("free", [1000, 60_000])
def test_no_room_is_said_before_anything_is_written(root, server, monkeypatch, free):
    usage = shutil.disk_usage(root.parent)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=free))
    with pytest.raises(StoreError, match=r"no space left on the disk for \d+ bytes"):
        fetch(root, server)
    assert not list(root.rglob(GAME_FILE))


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        fetch(tmp_path / "file", server)


def test_without_the_variable_the_command_says_what_to_set():
    environment = {name: value for name, value in os.environ.items() if name != "ALFWORLD_DATA"}
    command = [sys.executable, "-m", "paw_bench.cli", "games", "download"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert "ALFWORLD_DATA is not set\n  remedy: export ALFWORLD_DATA=FOLDER" in run.stderr
