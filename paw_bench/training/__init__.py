"""Training: TRL's trainers with the world-model term, driven update by update."""

import os

# Read when huggingface_hub and trl are imported: training neither pings a server nor repeats warnings at every start.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
