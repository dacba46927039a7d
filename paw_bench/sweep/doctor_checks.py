"""What `paw-bench doctor` looks at in one place: this machine, or the compute node that its job came to."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from paw_bench.config.schema import EnvironmentConfig
from paw_bench.envs.definition import definition
from paw_bench.errors import UserError
from paw_bench.sweep.driver import MIN_FREE_BYTES
from paw_bench.sweep.requirements import download, gpus_here, hub_cache, model_folder

_IMPORT_TIMEOUT_S = 180
_PACKAGES = ("paw-bench", "torch", "transformers", "trl", "submitit")
_COUNT_GPUS = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: `skipped` says why it does not apply, `failed` comes with a remedy."""

    name: str
    state: Literal["ok", "failed", "skipped"]
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the runs need of the place where they run."""

    results: str
    gpus: int = 0
    engines: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    """Values of `model.name`; empty without an experiment."""
    environments: list[dict[str, Any]] = field(default_factory=list)
    """`environment` sections; empty without an experiment."""


def check_place(wanted: Wanted, *, compute: bool) -> Iterator[Check]:
    """All checks of this place; GPUs are looked for only where runs will `compute`."""
    yield _python()
    yield from _gpus(wanted.gpus) if compute else [Check("GPU", "skipped", "runs do not work here")]
    yield _vllm(wanted.engines) if compute else Check("vLLM", "skipped", "runs do not work here")
    yield from map(check_model, wanted.models)
    for section in wanted.environments:
        yield _games(EnvironmentConfig.model_validate(section))
    if not wanted.models:
        yield Check("models and games", "skipped", "no experiment was named")
    yield check_files(Path(wanted.results))
    yield check_free_space(Path(wanted.results))


def _python() -> Check:
    found = [f"Python {platform.python_version()}"]
    missing = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        remedy = f"install paw-bench into {sys.prefix}, or activate its environment in the profile's `setup`"
        return Check("packages", "failed", f"{', '.join(found)}; not installed: {', '.join(missing)}", remedy)
    return Check("packages", "ok", ", ".join(found))


def _gpus(wanted: int) -> Iterator[Check]:
    if not wanted:
        yield Check("GPU", "skipped", "none asked for")
        return
    here, visible = gpus_here(), os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
    found = f"nvidia-smi shows {here} of {wanted} GPUs (CUDA_VISIBLE_DEVICES {visible})"
    if here >= wanted:
        yield Check("NVIDIA driver", "ok", found)
    else:
        yield Check("NVIDIA driver", "failed", found, "ask for a node with a driver: `partition`, `constraint`, `gpus`")
    seen = _python_says(_COUNT_GPUS)
    if seen.isdigit() and int(seen) >= wanted:
        yield Check("torch", "ok", f"sees {seen} GPUs")
    else:
        remedy = "install the torch build for the driver's CUDA version: https://pytorch.org/get-started"
        yield Check("torch", "failed", f"wants {wanted} GPUs, says: {seen}", remedy)


def _vllm(engines: list[str]) -> Check:
    if not any(engine.startswith("vllm") for engine in engines):
        return Check("vLLM", "skipped", "execution.engine asks for none")
    said = _python_says("import vllm; print(vllm.__version__)")
    works = said[:1].isdigit()
    return Check("vLLM", "ok", said) if works else Check("vLLM", "failed", said, "pip install vllm, or another engine")


def _python_says(code: str) -> str:
    """The last line that a fresh Python prints for `code`: imports that crash must not end the other checks."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=_IMPORT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_IMPORT_TIMEOUT_S} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def check_model(name: str) -> Check:
    """Whether every file of the model can be read here without going online."""
    label = f"model {name}"
    if os.environ.get("HF_HUB_OFFLINE", "1").lower() in ("0", "false", "no"):
        return Check(label, "skipped", "HF_HUB_OFFLINE is 0: runs go online for it")
    try:
        folder = model_folder(name)
        if folder is None:
            return Check(label, "failed", f"not in {hub_cache()}", download(name))
        files = [path for path in folder.iterdir() if path.is_file()]
        for path in files:
            with path.open("rb") as file:
                file.read(1)
    except OSError as error:
        return Check(label, "failed", _words(error), "let the user who runs the jobs read it (chmod -R a+rX FOLDER)")
    return Check(label, "ok", f"{len(files)} files in {folder}, offline")


def _games(environment: EnvironmentConfig) -> Check:
    label = f"games of {environment.name} ({environment.source})"
    try:
        missing = definition(environment.name).missing(environment)
    except (OSError, UserError) as error:
        return Check(label, "failed", str(error).splitlines()[0], "see docs/environments.md")
    if missing is not None:
        return Check(label, "failed", f"{missing.needs}: {missing.found}", missing.remedy)
    return Check(label, "ok", "there")


def check_files(folder: Path) -> Check:
    """Whether files can be written, synced, renamed, linked and locked in the results folder."""
    trial = folder / f".doctor-{os.getpid()}-{secrets.token_hex(4)}"
    remedy = "use --results on a filesystem that login and compute nodes share and that you may write to"
    doing = "make a folder"
    try:
        trial.mkdir(parents=True)
        try:
            doing = "write"
            with (trial / "a").open("wb") as file:
                file.write(b"paw_bench")
                file.flush()
                os.fsync(file.fileno())
            doing = "rename"
            os.replace(trial / "a", trial / "b")
            doing = "read back"
            if (trial / "b").read_bytes() != b"paw_bench":
                return Check("results filesystem", "failed", f"{folder}: reads other bytes than were written", remedy)
            doing, remedy = "lock", "have it mounted with flock (Lustre: -o flock), or use --results elsewhere"
            with (trial / "b").open("rb") as first, (trial / "b").open("rb") as second:
                fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _refuses(second.fileno()):
                    return Check("results filesystem", "failed", f"{folder}: locks do not keep others out", remedy)
        finally:
            shutil.rmtree(trial, ignore_errors=True)
    except OSError as error:
        return Check("results filesystem", "failed", f"cannot {doing} there: {_words(error)}", remedy)
    return Check("results filesystem", "ok", f"{folder}: write, sync, rename and lock work")


def _refuses(descriptor: int) -> bool:
    """Whether a lock is refused because somebody holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def check_free_space(folder: Path) -> Check:
    """Whether the disk of the results has room for a run."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    with suppress(OSError):
        free = shutil.disk_usage(existing).free
        found = f"{free / (1 << 30):.1f} GiB free, a run needs {MIN_FREE_BYTES / (1 << 30):.1f} GiB"
        enough = free >= MIN_FREE_BYTES
        return Check("free space", "ok" if enough else "failed", found, "" if enough else "free some, or use --results")
    return Check("free space", "failed", f"{existing} does not tell", "use --results on another disk")


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
