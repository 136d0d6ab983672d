"""What can be concluded from runs over seeds and test rows. Pure numpy; all randomness from a fixed seed."""
