"""Models whose external data is missing, cut short, or outside the model's folder."""

from collections.abc import Callable
from pathlib import Path

from onnx import TensorProto, helper

from chrion_graph.limits import Limits
from tests.support.bad_models.build import BadModel, floats, graph, serialized

SECRET = b"secret! " * 512
"""What lies outside the folder; it would pass for weights."""

X, Y = floats("x", 4), floats("y", 4)


def _tensor(location: str, **place: int) -> TensorProto:
    """Four floats that lie in another file, at `offset` for `length` bytes."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": 0, "length": 16, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _adding(weight: TensorProto) -> bytes:
    return serialized(graph([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y], [weight]))


def _secret(folder: Path) -> Path:
    path = folder.parent / "secret"
    path.write_bytes(SECRET)
    return path


def _missing(_: Path) -> bytes:
    return _adding(_tensor("weights.bin"))


def _parent(folder: Path) -> bytes:
    _secret(folder)
    return _adding(_tensor("../secret"))


def _around(folder: Path) -> bytes:
    _secret(folder)
    (folder / "sub").mkdir()
    return _adding(_tensor("sub/../../secret"))


def _absolute(folder: Path) -> bytes:
    return _adding(_tensor(str(_secret(folder))))


def _link(folder: Path) -> bytes:
    (folder / "weights.bin").symlink_to(_secret(folder))
    return _adding(_tensor("weights.bin"))


def _hard_link(folder: Path) -> bytes:
    (folder / "weights.bin").hardlink_to(_secret(folder))
    return _adding(_tensor("weights.bin"))


def _in_many_files(folder: Path) -> bytes:
    """No file is there: they are counted before any is looked for."""
    names = [f"w{number}" for number in range(Limits().external_files + 1)]
    weights = [_tensor(f"{name}.bin") for name in names]
    for name, weight in zip(names, weights, strict=True):
        weight.name = name
    return serialized(graph([helper.make_node("Sum", ["x", *names], ["y"])], [X], [Y], weights))


def _linked_folder(folder: Path) -> bytes:
    _secret(folder)
    (folder / "sub").symlink_to(folder.parent)
    return _adding(_tensor("sub/secret"))


def _in_constant(folder: Path) -> bytes:
    _secret(folder)
    constant = helper.make_node("Constant", [], ["w"], value=_tensor("../secret"))
    return serialized(graph([constant, helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y]))


def _in_branch(folder: Path) -> bytes:
    _secret(folder)
    add = helper.make_node("Add", ["x", "w"], ["sum"])
    branches = {
        "then_branch": graph([add], [], [floats("sum", 4)], [_tensor("../secret")]),
        "else_branch": graph([helper.make_node("Identity", ["x"], ["same"])], [], [floats("same", 4)]),
    }
    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    return serialized(graph([helper.make_node("If", ["condition"], ["y"], **branches)], [condition, X], [Y]))


def _beyond(**place: int) -> Callable[[Path], bytes]:
    def build(folder: Path) -> bytes:
        (folder / "weights.bin").write_bytes(bytes(64))
        return _adding(_tensor("weights.bin", **place))

    return build


MODELS = {
    "external-missing": BadModel("external data in a file that is not there", _missing),
    "external-parent": BadModel("external data in ../secret", _parent),
    "external-around": BadModel("external data in sub/../../secret", _around),
    "external-absolute": BadModel("external data at an absolute path outside the folder", _absolute),
    "external-link": BadModel("external data in a symbolic link that leads out of the folder", _link),
    "external-hard-link": BadModel("external data in a hard link to a file outside the folder", _hard_link),
    "external-many": BadModel("external data in more files than the limit", _in_many_files),
    "external-linked-folder": BadModel("external data below a symbolic link to another folder", _linked_folder),
    "external-in-constant": BadModel("a Constant node's value in ../secret", _in_constant),
    "external-in-branch": BadModel("an initializer of an If's branch in ../secret", _in_branch),
    "external-offset-beyond": BadModel("external data that begins after the file's end", _beyond(offset=4096)),
    "external-length-beyond": BadModel("external data that ends after the file's end", _beyond(offset=56)),
    "external-length-wrong": BadModel("external data of 8 bytes for 4 floats", _beyond(length=8)),
    "external-offset-negative": BadModel("external data that begins before the file", _beyond(offset=-8)),
}
