"""Training steps that compute what the loss needs: no padding, no logits of prompts, few casts and kernels."""
