"""Few-shot training of an adapter with TRL's `SFTTrainer`."""
