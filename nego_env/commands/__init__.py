"""The core's own commands, one module each; heavy imports happen inside `run`."""
