"""The commands, one a module: a function `command` whose parameters are its options. COMMANDS lists them."""

COMMANDS = {
    "run": "Plan models on this machine and serve them: the whole of Chrion without a cluster.",
    "check": "Report what is in a model, what would run where, and whether planning is likely to gain.",
    "plan": "Profile a model, partition it, measure the best plans, and write their frontier.",
    "serve": "Serve models over the Open Inference Protocol, each with the plan that the objective selects.",
    "bench": "Measure the selected plan against ONNX Runtime's default session and each single device.",
    "explain": "Show the stages, the schedule and the frontier of a plan file.",
    "profile": "Measure what a model's nodes cost on each device, for `chrion plan --profile` on any machine.",
    "fetch": "Fetch a model with its external data from an allowed source, and check its digest.",
    "plan-job": "Plan a model by the spec of its ChrionModel, and write progress and plans to a ConfigMap.",
}
"""What each does, in the words that its own help begins with, to be listed without importing it."""
