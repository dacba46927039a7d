"""Cluster profiles: what your Slurm wants to know, in one YAML file of `slurm/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from paw_bench.config.budget import Budget, Limit, limits
from paw_bench.config.section import NonNegativeInt, PositiveInt, Section
from paw_bench.config.spec import check_spec
from paw_bench.config.yaml_reader import Document, Place, dotted, read_yaml

Time = Annotated[str, Field(pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")]
_NO_FILE = "check the path; `paw-bench init FOLDER` copies the shipped profiles"


class Resources(Section):
    """What one run asks Slurm for: the keys that `scales` and `models` may override. None: the cluster's default."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpus: NonNegativeInt | None = None
    """GPUs of a run (None: the experiment's execution.gpus)."""
    nodes: PositiveInt = 1
    """Nodes of a run, which share its GPUs, CPUs and memory evenly."""
    gpu_type: str | None = None
    """As `sinfo -o %G` names it."""
    cpus: PositiveInt = 4
    """CPUs for each GPU; of the whole run where it uses none."""
    memory_gb: PositiveInt = 16
    """GB of memory for each GPU; of the whole run where it uses none."""
    time: Time = "24:00:00"
    """Limit of one attempt, [days-]hours:minutes:seconds."""
    constraint: str | None = None
    """Node features, such as "nvlink&80gb"."""
    exclude: list[str] = Field(default_factory=list)
    """Nodes that no run may use."""
    max_parallel: PositiveInt = 100
    """Runs of one array at a time."""


class Retries(Section):
    """How often a run is tried again by itself, by the cause of its end. `paw-bench retry` begins to count anew.

    Loss that is not finite, collapsed policies, tokens without provenance, engines that parted from their trainer, bad
    configs and cancelled jobs are never tried again by themselves.
    """

    preempted: NonNegativeInt = 100
    time_limit: NonNegativeInt = 100
    node_failure: NonNegativeInt = 3
    """On other nodes: the one that failed is excluded."""
    hung_environment: NonNegativeInt = 2
    """Environment workers hung one after the other; also on other nodes."""
    out_of_memory: Annotated[int, Field(ge=0, le=1)] = 1
    """With half the rows in a micro-batch: the same effective batch."""
    lost: NonNegativeInt = 2
    """Killed without a word."""
    not_started: NonNegativeInt = 1
    """The job ended before the run began."""
    storage: NonNegativeInt = 2
    """Its files could not be written: no space left, a quota."""
    engine: NonNegativeInt = 2
    """The engine failed twice in one collection of episodes."""
    error: NonNegativeInt = 0
    """Any other exception."""


class Container(Section):
    """A container that holds Python and paw_bench."""

    prefix: str
    """What runs a command inside, such as "apptainer exec --nv image.sif"."""
    python: str = "python3"
    """Python in the container."""


class ClusterProfile(Resources):
    """The keys of a cluster profile."""

    schema_version: Literal[1]
    description: str = ""
    setup: list[str] = Field(default_factory=list)
    """Shell lines that every job runs first."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of every job, set after `setup`."""
    container: Container | None = None
    keeper_partition: str | None = None
    """Where the small job runs that resubmits after an array has ended (None: `partition`)."""
    retries: Retries = Retries()
    budget: Budget | None = None
    """From how many hours on a sweep asks before it submits."""
    scales: dict[str, Resources] = Field(default_factory=dict)
    """Scale -> what differs there."""
    models: dict[str, Resources] = Field(default_factory=dict)
    """Value of model.name -> what differs for it; this wins over `scales`."""

    def layers(self, scale: str, model: str) -> list[tuple[Place, Resources]]:
        """Where the resources of a run are written, lowest first."""
        found: list[tuple[Place, Resources]] = [((), self)]
        found += [(("scales", scale), self.scales[scale])] if scale in self.scales else []
        found += [(("models", model), self.models[model])] if model in self.models else []
        return found

    def resources(self, scale: str, model: str) -> Resources:
        """What a run of this scale and model asks for."""
        values: dict[str, Any] = {name: getattr(self, name) for name in Resources.model_fields}
        for _, layer in self.layers(scale, model):
            values |= {name: getattr(layer, name) for name in layer.model_fields_set & values.keys()}
        return Resources(**values)


@dataclass(frozen=True)
class ProfileFile:
    """A checked profile and where its keys are written."""

    profile: ClusterProfile
    document: Document

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Of the budget."""
        return limits(self.profile.budget, self.document)

    def locate(self, key: str, scale: str, model: str) -> tuple[str, str]:
        """(`file:line`, dotted key) of what sets the resource `key` of a run of this scale and model."""
        layers = self.profile.layers(scale, model)
        place = next((place for place, layer in reversed(layers) if key in layer.model_fields_set), ())
        return self.document.where((*place, key)), dotted((*place, key))


def load_profile(path: Path) -> ProfileFile:
    """The profile in `path`. Raises ConfigError naming file, line, key, value and remedy."""
    document = read_yaml(path, what="cluster profile", remedy=_NO_FILE)
    return ProfileFile(check_spec(document, ClusterProfile), document)
