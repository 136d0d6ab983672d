"""Where an adapter starts: initialisations beside PEFT's own."""
