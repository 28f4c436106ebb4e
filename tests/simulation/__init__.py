"""The deterministic simulation of the position closer: the real engine against venues of an independent truth."""
