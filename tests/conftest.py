"""Settings of every test."""

from hypothesis import settings

# A deadline measures the machine's other work as well: examples may take as long as they take.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
