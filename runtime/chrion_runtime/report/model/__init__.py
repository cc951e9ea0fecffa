"""What a report says, whoever shows it: buckets with their plans and baselines, and the timeline of each plan."""
