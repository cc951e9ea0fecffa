"""The commands, one a module: a function `command` whose parameters are its options. COMMANDS lists them."""

COMMANDS = {
    "run": "Plan models on this machine and serve them: the whole of Chrion without a cluster.",
    "check": "Say what is in a model, what would run where, and whether planning it is likely to gain.",
    "plan": "Profile a model, partition it, measure the best plans, and write the frontier of them.",
    "serve": "Serve models over the Open Inference Protocol, each by the plan that the objective selects.",
    "bench": "Measure the selected plan against the default session and each single device.",
    "explain": "Show the stages, the schedule and the frontier of a plan file.",
    "profile": "Measure what a model's nodes cost on each device, for `chrion plan --profile` there or elsewhere.",
    "fetch": "Fetch a model with its external data, from where models may be fetched from, and check its digest.",
    "plan-job": "Plan a model by its ChrionModel's spec, and write progress and plans to one ConfigMap.",
}
"""What each does, in the words that its own help begins with, to be listed without importing it."""
