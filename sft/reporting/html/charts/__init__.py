"""Vega-Lite specifications, a file for each chart. Colours are variables of the style sheet, which has two sets."""
