"""From predictions to numbers: metrics, statistics and baselines."""
