"""The commands of `eci`, one module a topic."""
