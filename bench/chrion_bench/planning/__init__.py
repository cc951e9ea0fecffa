"""The planning bench: how near the planner comes to the best plans, and how long it takes."""
