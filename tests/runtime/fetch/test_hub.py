"""hf:// against a server that answers as the hub does, and leads to another host for large files."""

import pytest
from aiohttp import web

from chrion_runtime.fetch import AccessDenied, FetchRefused, ModelNotFound, ModelTooLarge, Unreachable
from tests.support.file_server import cut, endless, status
from tests.support.hub_server import HubServer, stored

URI = "hf://owner/net/onnx/model.onnx"
PATH = "onnx/model.onnx"
NAMES = {"weights": "model.onnx_data", "bias": "more/the bias.bin"}
LISTING = "/api/models/owner/net/tree/{}/onnx"
TOKEN = "hf_token-of-the-fetcher"


@pytest.fixture
def hub(content):
    with HubServer() as running:
        running.push({PATH: content, "README.md": b"A net."})
        yield running


@pytest.fixture
def fetch(hub, run):
    """`fetch(uri, token=…)`: from the hub."""

    def fetched(uri=URI, token=None, allow=("127.0.0.1", "127.0.0.2"), **options):
        environment = {"HF_ENDPOINT": hub.url(""), **({"HF_TOKEN": token} if token else {})}
        return run(uri, **{"environment": environment, "allow": allow, **options})

    return fetched


@pytest.fixture
def with_data(hub, model_with_data, data):
    """The hub with a model that keeps its tensors in other files; the commit."""
    return hub.push(files(model_with_data, data))


def files(model_with_data, data):
    return {
        PATH: model_with_data(NAMES),
        "onnx/model.onnx_data": data,
        "onnx/more/the bias.bin": data[::-1],
        "onnx/config.json": b"{}",
        "model.onnx_data": b"of another model",
    }


def test_a_model_that_lies_in_the_store(hub, fetch, content, output, left):
    fetched = fetch()
    assert (fetched.size, fetched.files) == (len(content), ())
    assert output.read_bytes() == content
    assert left() == ["model.onnx"]
    assert hub.contents() == ["/owner/net/resolve/main/onnx/model.onnx"]
    assert hub.listings() == []


def test_a_model_that_lies_on_the_hub(hub, fetch, tiny, output):
    hub.push({"net.onnx": tiny})
    fetch("hf://owner/net/net.onnx")
    assert output.read_bytes() == tiny
    assert hub.store.requests == []


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/1", "a%20b"])
def test_another_revision(hub, fetch, tiny, output, revision):
    hub.push({PATH: tiny}, revision.replace("%20", " "))
    fetch(f"{URI}@{revision}")
    assert output.read_bytes() == tiny


def test_a_commit(hub, fetch, tiny, content, output):
    commit = hub.refs["main"]
    hub.push({PATH: tiny})
    fetch(f"{URI}@{commit}")
    assert output.read_bytes() == content


def test_names_that_are_escaped(hub, fetch, tiny, output):
    hub.push({"a@b/50%/the net.onnx": tiny})
    fetch("hf://owner/net/a%40b/50%25/the net.onnx")
    assert output.read_bytes() == tiny


def test_external_data_of_the_folder_by_one_listing(hub, fetch, with_data, data, output, left):
    fetched = fetch()
    assert left() == ["model.onnx", "model.onnx_data", "more/the bias.bin"]
    assert (output.parent / "model.onnx_data").read_bytes() == data
    assert (output.parent / "more" / "the bias.bin").read_bytes() == data[::-1]
    assert fetched.size == len(output.read_bytes()) + 2 * len(data)
    assert hub.listings() == [LISTING.format(with_data)]
    assert fetch(sha256=fetched.sha256).kept


def test_data_beside_a_model_at_the_top(hub, fetch, model_with_data, data, left):
    commit = hub.push({"net.onnx": model_with_data({"weights": "w.bin"}), "w.bin": data})
    fetch("hf://owner/net/net.onnx")
    assert left() == ["model.onnx", "w.bin"]
    assert hub.listings() == [f"/api/models/owner/net/tree/{commit}"]


@pytest.mark.parametrize("page", [1, 2])
def test_a_listing_of_several_pages(hub, fetch, with_data, left, page):
    hub.page = page
    fetch()
    assert len(hub.listings()) == (5 if page == 1 else 3)
    assert left() == ["model.onnx", "model.onnx_data", "more/the bias.bin"]


def test_a_listing_that_never_ends(hub, fetch, with_data):
    async def again(request, _):
        return web.json_response([], headers={"Link": f'<{request.path}>; rel="next"'})

    hub.faults[LISTING.format(with_data)] = [again] * 999
    with pytest.raises(FetchRefused, match="too many files"):
        fetch()
    assert len(hub.listings()) == 100


@pytest.mark.parametrize(
    "text", ["", "<html>", "{}", "[3]", '[{"type": "file"}]', '[{"type": "file", "path": "a", "size": -1}]', "[" * 9999]
)
def test_a_listing_that_is_none(hub, fetch, with_data, text):
    async def other(request, _):
        return web.Response(text=text)

    hub.faults[LISTING.format(with_data)] = [other] * 3
    with pytest.raises(Unreachable, match="list of its folder"):
        fetch()
    assert len(hub.listings()) == 3


def test_a_listing_without_end_is_not_kept(hub, fetch, with_data):
    hub.faults[LISTING.format(with_data)] = [endless]
    with pytest.raises(FetchRefused, match="more than 16,777,216 bytes"):
        fetch()


def test_a_listing_is_asked_for_again(hub, fetch, with_data, left):
    hub.faults[LISTING.format(with_data)] = [status(503), status(429, Retry_After="0")]
    fetch()
    assert len(left()) == 3


def test_missing_data_is_said_before_any_is_read(hub, fetch, model_with_data, data, left):
    there = files(model_with_data, data)
    del there["onnx/more/the bias.bin"]
    commit = hub.push(there)
    with pytest.raises(ModelNotFound, match=rf'model\.onnx@main: keeps data in "more/the bias\.bin", .*{commit}'):
        fetch()
    assert len(hub.contents()) == 1
    assert left() == []


def test_a_folder_of_the_name_is_no_data(hub, fetch, model_with_data, data):
    hub.push({PATH: model_with_data({"weights": "w"}), "onnx/w/w": data})
    with pytest.raises(ModelNotFound, match='keeps data in "w", not to be found'):
        fetch()


def test_too_much_data_is_refused_before_any_is_read(hub, fetch, with_data, data, left):
    size = len(hub.commits[with_data][PATH])
    with pytest.raises(ModelTooLarge, match=r"model\.onnx@main: has more than"):
        fetch(most_bytes=size + 2 * len(data) - 1)
    assert len(hub.contents()) == 1
    assert left() == []
    fetch(most_bytes=size + 2 * len(data))


def test_a_push_between_two_files_mixes_none(hub, fetch, with_data, model_with_data, data, output):
    model = hub.commits[with_data][PATH]

    async def push(request, _):
        hub.push({**files(model_with_data, data), "onnx/model.onnx_data": bytes(len(data))})
        return web.Response(body=model)

    hub.faults[f"/api/resolve-cache/models/owner/net/{with_data}/{PATH}"] = [push]
    fetch()
    assert hub.refs["main"] != with_data
    assert (output.parent / "model.onnx_data").read_bytes() == data
    assert hub.contents()[1:] == [
        f"/owner/net/resolve/{with_data}/onnx/{name}" for name in ("model.onnx_data", "more/the bias.bin")
    ]


def test_a_push_between_two_tries_mixes_none(hub, fetch, content, tiny, output):
    async def push(request, _):
        hub.push({PATH: tiny})
        return await cut(1_000_000)(request, content)

    commit = hub.refs["main"]
    hub.store.faults[stored(content)] = [push]
    fetch()
    assert output.read_bytes() == content
    assert hub.contents()[1:] == [f"/owner/net/resolve/{commit}/onnx/model.onnx"]
    assert hub.store.asked(stored(content))[1]["Range"] == "bytes=1000000-"


def test_a_hub_that_tells_no_commit(hub, fetch, content, with_data, output, left):
    hub.tells_commit = False
    with pytest.raises(FetchRefused, match="does not tell its commit"):
        fetch()
    fetch(f"{URI}@{with_data}")
    assert len(left()) == 3
    hub.push({PATH: content})
    fetch()
    assert output.read_bytes() == content


def test_a_repository_of_another_name(hub, fetch, with_data, left):
    """The hub leads on from the names that repositories had."""
    for path in (
        "resolve/main/onnx/model.onnx",
        "resolve/{}/onnx/model.onnx_data",
        "resolve/{}/onnx/more/the bias.bin",
    ):
        place = path.format(with_data)
        hub.faults[f"/owner/old/{place}"] = [status(307, Location=f"/owner/net/{place.replace(' ', '%20')}")]
    listing = LISTING.format(with_data) + "?recursive=true"
    hub.faults[LISTING.format(with_data).replace("net", "old")] = [status(307, Location=listing)]
    fetch("hf://owner/old/onnx/model.onnx")
    assert len(left()) == 3


def test_the_token_goes_to_the_hub_alone(hub, fetch, with_data):
    hub.readers = (TOKEN,)
    fetch(token=f"{TOKEN}\n")
    assert {headers.get("Authorization") for _, _, headers in hub.requests} == {f"Bearer {TOKEN}"}
    assert len(hub.store.requests) == 2
    assert all("Authorization" not in headers for _, _, headers in hub.store.requests)


def test_other_credentials_go_nowhere(hub, run):
    given = {"HF_ENDPOINT": hub.url(""), "HTTP_TOKEN": "of-another-server"}
    run(URI, environment=given, allow=["127.0.0.1", "127.0.0.2"])
    assert all("Authorization" not in headers for _, _, headers in hub.requests)


PUBLIC = {}
PRIVATE = {"readers": ("hf_reader",), "others": ("hf_other",)}
GATED = {**PRIVATE, "gated": True}
REFUSED = [
    (PRIVATE, URI, None, AccessDenied, "there is no owner/net, or it is private; correct the URI, or give HF_TOKEN"),
    (PRIVATE, URI, "hf_other", ModelNotFound, "there is no owner/net that HF_TOKEN may see"),
    (PRIVATE, URI, "hf_wrong", AccessDenied, "HF_TOKEN is not valid"),
    (GATED, URI, None, AccessDenied, "owner/net is gated; accept its terms at .*/owner/net, and give HF_TOKEN"),
    (GATED, URI, "hf_other", AccessDenied, "owner/net is gated and not open to HF_TOKEN"),
    (PUBLIC, "hf://owner/other/a.onnx", None, AccessDenied, "there is no owner/other, or it is private"),
    (PRIVATE, "hf://owner/other/a.onnx", "hf_reader", ModelNotFound, "there is no owner/other that HF_TOKEN may see"),
    (PUBLIC, f"{URI}@v9", None, ModelNotFound, "owner/net has no such revision"),
    (PUBLIC, f"{URI}@{'0' * 40}", None, ModelNotFound, "owner/net has no such revision"),
    (PUBLIC, "hf://owner/net/onnx/a.onnx", None, ModelNotFound, "owner/net has no such file at this revision"),
]


@pytest.mark.parametrize(("kind", "uri", "token", "error", "because"), REFUSED)
def test_what_is_refused_says_which(hub, fetch, left, kind, uri, token, error, because):
    for name, value in kind.items():
        setattr(hub, name, value)
    with pytest.raises(error, match=because) as caught:
        fetch(uri, token=token)
    assert str(caught.value).startswith(uri)
    assert "hf_" not in str(caught.value).replace(uri, "")
    assert len(hub.requests) == 1
    assert left() == []


def test_a_store_that_refuses_is_not_the_hub(hub, fetch, content):
    hub.store.faults[stored(content)] = [status(403)]
    with pytest.raises(AccessDenied, match=r"model\.onnx@main: 127\.0\.0\.2 answers 403 Forbidden"):
        fetch()


def test_goes_on_where_the_store_lost_the_connection(hub, fetch, content, output):
    hub.store.faults[stored(content)] = [cut(1_000_000), status(500)]
    fetch()
    assert output.read_bytes() == content
    assert len(hub.contents()) == 3, "each time by a new signature"


def test_the_store_must_be_allowed_too(hub, fetch, left):
    with pytest.raises(FetchRefused, match="not https"):
        fetch(allow=["127.0.0.1"])
    assert len(hub.requests) == 1
    assert hub.store.requests == []
    assert left() == []


@pytest.mark.parametrize("location", ["https://169.254.169.254/latest/meta-data", "https://10.0.0.5/model.onnx"])
def test_the_hub_leads_nowhere_else(hub, fetch, location):
    hub.faults["/owner/net/resolve/main/onnx/model.onnx"] = [status(302, Location=location)]
    with pytest.raises(FetchRefused, match=r"is link-local|is private"):
        fetch()


@pytest.mark.parametrize("following", ["https://169.254.169.254/more", "http://models.example/more", "https://[x"])
def test_a_listing_leads_nowhere_else(hub, fetch, with_data, following):
    async def page(request, _):
        return web.json_response([], headers={"Link": f'<{following}>; rel="next"'})

    hub.faults[LISTING.format(with_data)] = [page]
    with pytest.raises(FetchRefused, match=r"^hf://.*(is link-local|not https|not a URL)"):
        fetch()


@pytest.mark.parametrize(
    ("endpoint", "because"),
    [
        ("http://hub.example", "HF_ENDPOINT: http://hub.example: is not https"),
        ("hub.example", "HF_ENDPOINT: hub.example: names no host"),
        ("https://me:hidden@hub.example", "HF_ENDPOINT: .*: holds credentials"),
        ("https://hub.example/?a=hidden", "HF_ENDPOINT: .*: has more than a host and a path"),
        ("https://hub.example", r"hub\.example resolves to 10\.0\.0\.5, which is private"),
        ("", r"huggingface\.co resolves to 10\.0\.0\.5, which is private"),
    ],
)
def test_the_hub_must_be_allowed(run, endpoint, because):
    names = {"hub.example": ["10.0.0.5"], "huggingface.co": ["10.0.0.5"]}
    with pytest.raises(FetchRefused, match=because) as caught:
        run(URI, environment={"HF_ENDPOINT": endpoint}, resolver=names)
    assert "hidden" not in str(caught.value)


def test_a_hub_below_a_path(hub, run, content, output):
    hub.faults["/hubs/one/owner/net/resolve/main/onnx/model.onnx"] = [
        status(307, Location="/owner/net/resolve/main/onnx/model.onnx")
    ]
    run(URI, environment={"HF_ENDPOINT": hub.url("/hubs/one/")}, allow=["127.0.0.1", "127.0.0.2"])
    assert output.read_bytes() == content


@pytest.mark.parametrize(
    "uri",
    [
        "hf://owner/model.onnx",
        "hf://owner//model.onnx",
        "hf://owner/net/",
        "hf://owner/net/onnx/",
        "hf://owner/net/model.onnx@",
        "hf://owner/net@main/model.onnx",
        "hf://owner/net/model.onnx?download=true",
        "hf://owner/../net/model.onnx",
        "hf://owner/net/../../api/whoami-v2",
        "hf://owner/net/%2e%2e%2fapi",
        "hf://owner/net/model.onnx@..",
        "hf://owner/net/model.onnx@a/%2E%2E/b",
    ],
)
def test_uris_that_name_no_file(fetch, hub, uri):
    with pytest.raises(FetchRefused, match=r"is not of the form hf://OWNER/REPO|leads out of the repository"):
        fetch(uri)
    assert hub.requests == []
