"""Jupyter's clients at kernels of other languages than Python, by the names of kernelspecs; Lab's server among them."""

from __future__ import annotations

import pytest

from .client import House
from .jupyter import attached, kernel_of
from .lab import Lab
from .languages import SHIPPED, Sample

pytestmark = pytest.mark.live
each_language = pytest.mark.parametrize("sample", SHIPPED, ids=lambda sample: sample.name)


def test_each_language_is_a_kernelspec(house: House) -> None:
    specs = house.client.get("/api/kernelspecs").json()
    assert specs["default"] == "python3"
    found = {
        name: (spec["spec"]["language"], spec["spec"]["metadata"]["debugger"], spec["spec"]["interrupt_mode"])
        for name, spec in specs["kernelspecs"].items()
        if name in ("python3", "javascript", "typescript", "bash")
    }
    assert found == {
        "python3": ("python", True, "message"),
        "javascript": ("javascript", False, "message"),
        "typescript": ("typescript", False, "message"),
        "bash": ("bash", False, "message"),
    }
    assert "python" not in specs["kernelspecs"]
    for name, spec in specs["kernelspecs"].items():
        assert spec["name"] == name
        assert house.client.get(f"/api/kernelspecs/{name}").json() == spec


@each_language
def test_a_kernel_by_its_name(house: House, sample: Sample) -> None:
    made = house.client.post("/api/kernels", json={"name": sample.name})
    assert made.status_code == 201, made.text
    model = made.json()
    assert model["name"] == sample.name
    assert [each["name"] for each in house.client.get("/api/kernels").json()] == [sample.name]
    assert house.client.get(f"/api/kernels/{model['id']}").json()["name"] == sample.name
    with attached(house.gateway, model["id"]) as client:
        _, info = client.ended(client.send("kernel_info_request", {}))
        assert info.content["language_info"]["name"] == sample.name
        assert info.content["language_info"]["file_extension"] == sample.extension
        assert "debugger" not in info.content.get("supported_features", [])
        assert client.run(sample.hello)[0] == "hello\n"
        assert client.run(sample.wrong)[1]["ename"] == sample.error
        running = client.execute(sample.busy)
        client.until(lambda each: each.type == "stream" and each.of == running)
        # Asked while it is busy, as by a page that is opened.
        _, info = client.ended(client.send("kernel_info_request", {}))
        assert info.content["language_info"]["name"] == sample.name
        assert house.client.post(f"/api/kernels/{model['id']}/interrupt").status_code == 204
        assert client.ended(running)[1].content["status"] == "error"
    assert house.client.post(f"/api/kernels/{model['id']}/restart").json()["name"] == sample.name
    assert house.client.delete(f"/api/kernels/{model['id']}").status_code == 204


@each_language
def test_a_document_with_it(house: House, sample: Sample) -> None:
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": sample.name}}
    entry = house.client.post("/api/sessions", json=body).raise_for_status().json()
    assert entry["kernel"]["name"] == sample.name
    changed = house.client.patch(f"/api/sessions/{entry['id']}", json={"kernel": {"name": "python3"}}).json()
    assert changed["kernel"]["name"] == "python3"
    assert house.client.delete(f"/api/sessions/{entry['id']}").status_code == 204


@each_language
def test_a_chat_s_notebook_says_its_language(house: House, sample: Sample) -> None:
    chat = house.session(language=sample.name)
    chat.run(sample.hello)
    assert [each["kernel"]["name"] for each in house.client.get("/api/sessions").json()] == [sample.name]
    notebook = house.client.get(f"{chat.path}/notebook").json()
    spec = {"name": sample.name, "display_name": sample.title, "language": sample.name}
    assert notebook["metadata"]["kernelspec"] == spec
    assert notebook["metadata"]["language_info"]["name"] == sample.name
    assert notebook["metadata"]["language_info"]["file_extension"] == sample.extension
    assert notebook["cells"][0]["source"] == sample.hello
    assert notebook["cells"][0]["metadata"]["kernelgw"]["language"] == sample.name


@pytest.mark.slow
@each_language
def test_lab_has_both_the_chat_s_and_its_own(shared_lab: Lab, house: House, sample: Sample) -> None:
    chat = house.session(language=sample.name)
    chat.run(sample.hello)
    entry = shared_lab.entry(chat.id)
    assert entry is not None
    assert (entry["kernel"]["id"], entry["kernel"]["name"]) == (kernel_of(chat), sample.name)
    with shared_lab.client() as client:
        specs = client.get("/api/kernelspecs").json()["kernelspecs"]
        assert specs[sample.name]["spec"]["display_name"] == f"{sample.title} (kernelgw)"
        shown = client.get(f"/api/contents/{entry['path']}").json()["content"]
        assert shown["metadata"]["kernelspec"]["name"] == sample.name
        body = {"path": "own.ipynb", "name": "own", "type": "notebook", "kernel": {"name": sample.name}}
        own = client.post("/api/sessions", json=body).raise_for_status().json()
        assert own["kernel"]["name"] == sample.name
        names = {each["id"]: each["name"] for each in house.client.get("/api/kernels").json()}
        assert names[own["kernel"]["id"]] == sample.name
        assert client.delete(f"/api/sessions/{own['id']}").status_code == 204


def test_typescript_is_told_to_its_kernel(house: House) -> None:
    model = house.client.post("/api/kernels", json={"name": "typescript"}).raise_for_status().json()
    assert model["name"] == "typescript"
    with attached(house.gateway, model["id"]) as client:
        assert client.run("const n: number = 42; console.log(n)")[0] == "42\n"
    assert house.client.delete(f"/api/kernels/{model['id']}").status_code == 204
