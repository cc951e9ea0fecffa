"""Run a plan: compile it to files, load them, execute the stages over lanes, carry values and state between them."""
