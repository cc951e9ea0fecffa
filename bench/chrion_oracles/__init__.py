"""Judges of the planner's answers that tests and benchmarks share: the rules that all must keep, and the optimum."""
