"""What several rewrites share: read a graph, make nodes and constants, put the graph together again."""
