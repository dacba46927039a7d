"""The one place where a run's engine, codec and collector are put together."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from paw_bench.config.schema import RunConfig
from paw_bench.envs.pool import EnvironmentPool
from paw_bench.rollout.codec import TurnCodec
from paw_bench.rollout.collector import Collector
from paw_bench.rollout.engines.choose import build_engine


def build_collector(
    config: RunConfig, pool: EnvironmentPool, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> Collector:
    """A collector on `pool` whose engine (`execution.engine`) samples from `model`; close its engine when done."""
    experiment = config.experiment
    codec = TurnCodec(tokenizer, experiment.prompt, experiment.context)
    return Collector(
        experiment,
        pool,
        build_engine(config, model, tokenizer),
        codec,
        batch=config.execution.generation_batch,
        longest=getattr(model.config.get_text_config(), "max_position_embeddings", None),
    )
