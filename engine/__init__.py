"""Detour's engine: trains, measures and analyses."""
