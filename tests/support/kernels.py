"""Whether the recurrent kernels are there; where they must be, that they are not is an error and no reason to skip."""

import pytest

from chrion_runtime.engines import engine_named

_problem = engine_named("recurrent").problem("cpu")

needs_kernels = pytest.mark.skipif(bool(_problem), reason=_problem)
