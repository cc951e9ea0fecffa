"""file://: paths inside the image and in mounted volumes."""

import hashlib

import pytest

from chrion_runtime.fetch import FetchRefused, ModelNotFound, ModelTooLarge


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def test_a_file_is_copied(source, run, content, output):
    (source / "net.onnx").write_bytes(content)
    assert run(f"file://{source}/net.onnx").sha256 == hashlib.sha256(content).hexdigest()
    (source / "net.onnx").unlink()
    assert output.read_bytes() == content


def test_a_config_map_is_a_chain_of_links(source, run, model_with_data, data, left):
    (source / "..2026").mkdir()
    (source / "..2026" / "net.onnx").write_bytes(model_with_data({"weights": "w.bin"}))
    (source / "..2026" / "w.bin").write_bytes(data)
    (source / "..data").symlink_to("..2026")
    for name in ("net.onnx", "w.bin"):
        (source / name).symlink_to(f"..data/{name}")
    run(f"file://{source}/net.onnx")
    assert left() == ["model.onnx", "w.bin"]


def test_external_data_must_not_be_a_link_out_of_the_folder(source, run, model_with_data, left):
    (source / "net.onnx").write_bytes(model_with_data({"weights": "w.bin"}))
    (source / "w.bin").symlink_to("/proc/self/environ")
    with pytest.raises(FetchRefused, match="leads out of its folder"):
        run(f"file://{source}/net.onnx")
    assert left() == []


def test_external_data_must_not_be_a_hard_link(source, run, model_with_data, data, tmp_path, left):
    (source / "net.onnx").write_bytes(model_with_data({"weights": "w.bin"}))
    (tmp_path / "secret").write_bytes(data)
    (source / "w.bin").hardlink_to(tmp_path / "secret")
    with pytest.raises(FetchRefused, match=r"w\.bin: is a hard link, .* put a copy there"):
        run(f"file://{source}/net.onnx")
    assert left() == []


@pytest.mark.parametrize("name", ["missing.onnx", ".", "missing/net.onnx"])
def test_what_is_not_there(source, run, name):
    with pytest.raises(ModelNotFound, match=r"file://.*source"):
        run(f"file://{source}/{name}")


def test_a_device_is_no_model(run):
    with pytest.raises(ModelNotFound, match="not a plain file"):
        run("file:///dev/zero")


def test_the_limit_holds(source, run, content):
    (source / "net.onnx").write_bytes(content)
    with pytest.raises(ModelTooLarge):
        run(f"file://{source}/net.onnx", most_bytes=1000)
