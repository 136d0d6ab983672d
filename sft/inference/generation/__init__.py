"""Generated answers: one text per prompt, by the way of decoding that suits the model, the device and the arguments."""
