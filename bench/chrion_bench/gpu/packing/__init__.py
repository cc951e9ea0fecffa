"""Pack what an offline GPU host lacks into one small archive, beforehand, on a machine with a network."""
