"""Settings of every test."""

import os

from hypothesis import settings

# No test reaches for the network: read when huggingface_hub is first imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A deadline measures the machine's other work as well: examples may take as long as they take.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
