"""Answers from a model: label log-probabilities, and generated text."""
