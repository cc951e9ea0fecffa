"""What the commands share that run in a cluster's pods: how they end, and how a plan is handed in."""
