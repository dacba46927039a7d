"""paw_bench: experiment management and benchmarking for policies that learn their world model."""

__version__ = "0.1.0"
