"""Side-by-side measurements; each prints its table and keeps it under benchmarks/results."""
