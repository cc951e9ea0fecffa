"""What the commands share that run in a cluster's pods: how they end, how a plan is handed in, and the
figures that they share."""
