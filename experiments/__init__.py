"""Experiments: what nego-env's trainers do, measured. `python -m experiments.learns` and so on; see README.md."""
