"""Tensor data and bodies: every datatype both ways in JSON and in binary, and compression."""

import gzip
import struct
import zlib

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chrion_runtime.serve.protocol.binary_tensor import read_binary, write_binary
from chrion_runtime.serve.protocol.datatypes import DTYPES, datatype_of
from chrion_runtime.serve.protocol.errors import BadRequest, TooLarge, UnsupportedEncoding
from chrion_runtime.serve.protocol.inflate import inflate
from chrion_runtime.serve.protocol.json_tensor import read_json, write_json

NUMBERS = {name: dtype for name, dtype in DTYPES.items() if name != "BYTES"}
IN_JSON = {name: dtype for name, dtype in NUMBERS.items() if name != "FP16"}


def test_every_datatype_has_one_dtype():
    assert set(DTYPES) == {
        *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
        *("FP16", "FP32", "FP64", "BYTES"),
    }
    assert all(datatype_of(dtype) == datatype for datatype, dtype in DTYPES.items())


def test_nested_and_flat_data_are_the_same():
    shape = (2, 3, 2)
    flat = list(range(12))
    nested = np.arange(12).reshape(shape).tolist()
    as_flat = read_json("x", flat, np.dtype("<i4"), shape)
    assert (as_flat == read_json("x", nested, np.dtype("<i4"), shape)).all()
    assert as_flat.shape == shape


@pytest.mark.parametrize(("data", "shape"), [([], (0, 3)), ([[], []], (2, 0)), ([], (2, 0)), ([[], []], (2, 0, 3))])
@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "BOOL"])
def test_empty_json_tensors(data, shape, datatype):
    array = read_json("x", data, DTYPES[datatype], shape)
    assert array.shape == shape
    assert array.dtype == DTYPES[datatype]


@pytest.mark.parametrize("data", [5, [5]])
def test_scalars(data):
    array = read_json("x", data, np.dtype("<f4"), ())
    assert array.shape == ()
    assert array == 5


def test_large_integers_keep_every_bit():
    values = [2**64 - 1, 2**63 + 1, 0]
    assert read_json("x", values, np.dtype("<u8"), (3,)).tolist() == values
    values = [-(2**63), 2**63 - 1]
    assert read_json("x", values, np.dtype("<i8"), (2,)).tolist() == values


def same(left, right):
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    if left.dtype.hasobject:
        assert left.tolist() == right.tolist()
    else:
        assert left.tobytes() == right.tobytes()


def shapes():
    return hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def arrays(dtypes, **elements):
    return st.sampled_from(list(dtypes.values())).flatmap(lambda dtype: hnp.arrays(dtype, shapes(), **elements))


def strings():
    text = st.text(max_size=8)
    return hnp.arrays(object, shapes(), elements=text, fill=text)


@given(arrays(NUMBERS) | strings(), st.integers(0, 8))
def test_binary_both_ways(array, offset):
    data = bytes(offset) + bytes(write_binary("y", array))
    back = read_binary("x", memoryview(data)[offset:], array.dtype, array.shape)
    same(back, array)
    assert back.flags.aligned


@given(
    arrays(IN_JSON).filter(lambda array: array.dtype.kind != "f" or np.isfinite(array).all()) | strings(),
)
def test_json_both_ways(array):
    text = orjson.dumps(write_json("y", array), option=orjson.OPT_SERIALIZE_NUMPY)
    same(read_json("x", orjson.loads(text), array.dtype, array.shape), array)


@pytest.mark.parametrize("datatype", DTYPES)
def test_strided_answers_are_written_in_row_major_order(datatype):
    base = np.array([["0", "1", "2"], ["3", "4", "5"]]).astype("i1")
    array = base.astype(str).astype(object) if datatype == "BYTES" else base.astype(DTYPES[datatype])
    back = read_binary("x", memoryview(write_binary("y", array.T)), array.dtype, (3, 2))
    same(back, np.ascontiguousarray(array.T))
    if datatype != "FP16":
        text = orjson.dumps(write_json("y", array.T), option=orjson.OPT_SERIALIZE_NUMPY)
        same(read_json("x", orjson.loads(text), array.dtype, (3, 2)), np.ascontiguousarray(array.T))


def test_aligned_numbers_are_not_copied():
    data = np.arange(6, dtype="<f4")
    assert np.shares_memory(read_binary("x", memoryview(data.tobytes()), data.dtype, (2, 3)), data) is False
    part = memoryview(data).cast("B")
    assert np.shares_memory(read_binary("x", part, data.dtype, (2, 3)), data)
    assert np.shares_memory(np.frombuffer(write_binary("y", data), np.uint8), data)


def test_bool_bytes_are_0_or_1():
    with pytest.raises(BadRequest, match="a BOOL must be the byte 0 or 1"):
        read_binary('input "x"', memoryview(b"\x00\x02"), np.dtype(bool), (2,))


def packed(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("data", "count", "problem"),
    [
        (packed(b"ab", b"\xff"), 2, 'input "s": element 1 is not valid UTF-8'),
        (packed(b"abcd"), 2, "the bytes end before element 1"),
        (packed(b"abcd") + b"\x01\x00", 2, "the bytes end before element 1"),
        (packed(b"ab", b"c")[:-1], 2, "element 1 says it is 1 bytes long, but 0 are left"),
        (struct.pack("<I", 2**32 - 1) + b"abcd", 1, "element 0 says it is 4294967295 bytes long, but 4 are left"),
        (packed(b"ab", b"c"), 1, "5 bytes are left over after 1 strings"),
        (b"", 10**15, "0 bytes cannot hold the 1000000000000000 strings"),
    ],
)
def test_refuses_strings(data, count, problem):
    with pytest.raises(BadRequest) as caught:
        read_binary('input "s"', memoryview(data), np.dtype(object), (count,))
    assert problem in str(caught.value)


PLAIN = b"chrion " * 1000


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PLAIN, ""),
        (PLAIN, "identity"),
        (gzip.compress(PLAIN, mtime=0), "GZip"),
        (zlib.compress(PLAIN), "deflate"),
        (b"".join(gzip.compress(PLAIN[at : at + 100], mtime=0) for at in range(0, len(PLAIN), 100)), "gzip"),
        (gzip.compress(b"", mtime=0) + gzip.compress(PLAIN, mtime=0) + gzip.compress(b"", mtime=0), "gzip"),
    ],
)
def test_inflates(body, encoding):
    assert inflate(body, encoding, len(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    ("body", "encoding", "error", "problem"),
    [
        (gzip.compress(PLAIN, mtime=0), "gzip", TooLarge, "limit of 6999 bytes"),
        (zlib.compress(bytes(10**8), 9), "deflate", TooLarge, "limit of 6999 bytes"),
        (gzip.compress(b"a", mtime=0)[:-1], "gzip", BadRequest, "is cut short"),
        (gzip.compress(b"a", mtime=0) + b"b", "gzip", BadRequest, "1 bytes are left over"),
        (b"", "gzip", BadRequest, "is cut short"),
        (gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0)[:-1], "gzip", BadRequest, "is cut short"),
        (gzip.compress(b"a", mtime=0) + gzip.compress(PLAIN, mtime=0), "gzip", TooLarge, "limit of 6999 bytes"),
        (gzip.compress(b"a", mtime=0) * 5000, "gzip", BadRequest, "are left over"),
        (zlib.compress(b"a") * 2, "deflate", BadRequest, "are left over"),
        (PLAIN, "deflate", BadRequest, "not valid deflate"),
        (PLAIN, "br", UnsupportedEncoding, '"br" is not supported'),
        (PLAIN, "gzip, gzip", UnsupportedEncoding, "use gzip, deflate or none"),
    ],
)
def test_refuses_to_inflate(body, encoding, error, problem):
    with pytest.raises(error, match=problem):
        inflate(body, encoding, len(PLAIN) - 1)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "<u8", "<i1", "<u2"])
@pytest.mark.parametrize("place", [0, 1, 40])
@pytest.mark.parametrize("flag", [True, False])
def test_no_flag_passes_for_a_number(dtype: str, place: int, flag: bool) -> None:
    for other in (0, 1, 2, 7):
        values: list[object] = [other] * 41
        values[place] = flag
        with pytest.raises(BadRequest, match=f"value {place} is {str(flag).lower()}"):
            read_json("x", values, np.dtype(dtype), (41,))
