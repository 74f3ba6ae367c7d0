"""Training of many seeds and arms together, in one stacked batch."""
