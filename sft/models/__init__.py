"""Weights and tokenizers: loading them as the config says, on the devices that are there."""
