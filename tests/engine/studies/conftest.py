"""Trainings of few steps, unrecorded."""

from tests.engine.recording import recorded_at_once, recorded_late  # noqa: F401  # fixtures
