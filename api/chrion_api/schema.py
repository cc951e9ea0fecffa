"""The JSON Schemas of Chrion's documents; `python -m chrion_api.schema docs/schema` writes them."""

import json
import sys
from pathlib import Path
from typing import Any

from chrion_api.chrionmodel import ChrionModel
from chrion_api.crd import CRD
from chrion_api.document import Document
from chrion_api.plan import PlanFile
from chrion_api.profile import Profile
from chrion_api.slo import Objective

DOCUMENTS: dict[str, type[Document]] = {
    "chrionmodel": ChrionModel,
    "profile": Profile,
    "plan": PlanFile,
    "slo": Objective,
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the document `name`, as it is written to JSON."""
    document = _without_crd(DOCUMENTS[name].model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def _without_crd(value: Any) -> Any:
    """A schema without what is for the CRD alone."""
    if isinstance(value, dict):
        return {name: _without_crd(inner) for name, inner in value.items() if name != CRD}
    return [_without_crd(inner) for inner in value] if isinstance(value, list) else value


def schema_text(name: str) -> str:
    """The schema as the file in docs/schema holds it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every schema into the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m chrion_api.schema FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (folder / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
