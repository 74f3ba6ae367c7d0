"""Detour's dashboard: shows what the store holds."""
