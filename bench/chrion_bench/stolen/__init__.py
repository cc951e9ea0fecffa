"""The bench of recurrent layers while something of a higher priority takes one of the cores."""
