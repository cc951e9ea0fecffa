"""The commands, one a file: NAME, and a function whose parameters are its options."""
