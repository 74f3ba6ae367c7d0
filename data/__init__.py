"""Detour's store: the catalogue of what exists and the traces of what happened."""
