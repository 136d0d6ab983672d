"""The only place that joins data, prompting, models, training, inference and evaluation: one function per endpoint."""
