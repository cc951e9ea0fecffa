"""Inline Ifs: where a bucket's shapes or given values decide an If, the branch that runs takes its place.

Exported Squeezes are such Ifs, which ask whether an axis has one element, and so are models with a network for each
sample rate. What the branch holds can then be cut, optimised with what is around it, and run by other engines. The
graph is exact only for requests of which its `Assumption` holds; the runtime answers others by the model as it is.

Which Ifs are decided is found by running ONNX Runtime (`decide.py`), in a worker process. It is in the parameters, with
the types of the values inside, so that replaying the rewrite runs nothing.
"""

from chrion_graph.rewrite.inline_ifs.assumption import Assumption, assumption
from chrion_graph.rewrite.inline_ifs.decide import decided
from chrion_graph.rewrite.inline_ifs.inline import APART, NAME, PLACE, SUPERSEDES, apply, propose

__all__ = ["APART", "NAME", "PLACE", "SUPERSEDES", "Assumption", "apply", "assumption", "decided", "propose"]
