"""Pictures in SVG: the frontier of a bucket, and the Gantt chart of a plan."""
