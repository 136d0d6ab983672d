"""To and from EleutherAI's lm-evaluation-harness (the package `lm_eval`, extra `lm-eval`): docs/lm-eval.md."""
