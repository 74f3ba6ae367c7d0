"""Analyses of traces: arrays in, results with their uncertainty out."""
