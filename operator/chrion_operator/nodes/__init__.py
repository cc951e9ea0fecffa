"""Nodes: which classes a cluster's nodes fall into, how replicas are split over them, and who holds its GPUs."""

from chrion_operator.nodes.classes import NodeClass, node_classes
from chrion_operator.nodes.holders import gpu_holders
from chrion_operator.nodes.replicas import split_replicas

__all__ = ["NodeClass", "gpu_holders", "node_classes", "split_replicas"]
