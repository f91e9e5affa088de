"""Hostile checkpoints: nothing in them runs or takes memory it has no bytes for, each is one clear error."""

import io
import json
import os
import pickletools
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codec.checkpoints.model_file import load, save
from codec.descript.conversion import read_model
from codec.descript.torch_file import open_torch_file
from codec.descript.weights import read_published
from render.common.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "dac"
CHECKPOINT = (GOLDEN / "mono.pth").read_bytes()
TRANSFORMERS = GOLDEN / "transformers" / "model.safetensors"


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def members(data=CHECKPOINT):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def saved(path, tensors, **more):
    torch.save({"state_dict": tensors, "metadata": {"kwargs": {"sample_rate": 44_100}}, **more}, path)
    return path


def test_1500_bytes_that_expand_to_terabytes(tmp_path):
    """All strides 0: one number stands for 10^12; `torch.load` gives a tensor of 4 TB."""
    path = saved(tmp_path / "w.pth", {"encoder.block.0.weight": torch.zeros(1).expand(10**4, 10**4, 10**4)})
    assert path.stat().st_size < 2500
    tracemalloc.start()
    with pytest.raises(InputError, match=r"shape 1e\+04x1e\+04x1e\+04 on a storage of 1 numbers; refused"):
        read_published(path)
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


def test_a_storage_that_claims_more_than_it_has(tmp_path):
    content = members()
    name = next(n for n in content if n.endswith("data.pkl"))
    begin = content[name].index(b"FloatStorage")
    # the first storage: BINUNICODE key, BINUNICODE device, BININT1 length 4
    at = content[name].index(b"cpu", begin) + 3
    at = content[name].index(b"K\x04", at)
    content[name] = content[name][:at] + b"J" + struct.pack("<i", 2**31 - 1) + content[name][at + 2 :]
    with pytest.raises(InputError, match="2147483647 numbers has 16 bytes"):
        read_published(written(tmp_path / "w.pth", content))


def test_tensors_that_share_a_storage(tmp_path):
    shared = torch.zeros(2**16)
    state = {f"t{i}": shared for i in range(50)}
    path = saved(tmp_path / "w.pth", state)
    with pytest.raises(InputError, match="not a checkpoint of Descript's codec"):
        read_published(path)
    # with the names and shapes of a model, too
    state = load_file(TRANSFORMERS)
    state["decoder.snake1.alpha"] = state["encoder.block.0.res_unit1.snake1.alpha"]
    with pytest.raises(InputError, match="share the storage"):
        read_published(saved(tmp_path / "s.pth", state))


def test_compressed_members_are_refused(tmp_path):
    content = members()
    name = next(n for n in content if n.endswith("data/0"))
    content[name] = bytes(2**26)
    path = written(tmp_path / "w.pth", content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 300_000
    with pytest.raises(InputError, match="compressed"):
        read_published(path)


def test_members_that_overlap(tmp_path):
    """A thousand entries of the directory that all point to the same megabyte."""
    path = written(tmp_path / "w.pth", members() | {"mono/extra": bytes(2**16)})
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        begin, entries = archive.start_dir, archive.infolist()
    directory = bytes(data[begin:-22])
    one = directory[directory.rindex(b"PK\x01\x02") :]
    assert b"mono/extra" in one
    copies = b"".join(one.replace(b"mono/extra", b"mono/%05d" % i) for i in range(1000))
    count, size = len(entries) + 1000, len(directory) + len(copies)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, begin, 0)
    path.write_bytes(data[:begin] + directory + copies + end)
    with pytest.raises(InputError, match="claim more bytes"):
        read_published(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("place", ["state", "metadata", "top"])
def test_calls_of_foreign_functions_are_refused_and_not_made(tmp_path, protocol, place):
    sign = tmp_path / "sign"
    content = {"state_dict": {"a": torch.zeros(1)}, "metadata": {"kwargs": {}}}
    if place == "state":
        content["state_dict"]["b"] = Evil(sign)
    elif place == "metadata":
        content["metadata"]["logs"] = Evil(sign)
    else:
        content = Evil(sign)
    torch.save(content, tmp_path / "w.pth", pickle_protocol=protocol)
    with pytest.raises(InputError, match="has no place in a data file; refused"):
        read_model(tmp_path / "w.pth")
    assert not sign.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cbuiltins\neval\n(X\x01\x00\x00\x001tR.",
        b"cposix\nsystem\n(X\x02\x00\x00\x00idtR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01a\x85R.",
        b"(ibuiltins\nlist\n.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",  # no arguments
        b"\x80\x02ctorch\nFloatStorage\n)R.",  # a name that may not be called
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",  # NEWOBJ
        b"\x80\x02\x82\x01.",  # extension registry
        b"\x80\x02Va\n.",
        b"\x80\x02}(]K\x01u.",  # a list as key
        b"\x80\x02)\x85\x85}(h\x00K\x01u.",
        b"\x80\x02((((((.",
        b"\x80\x020.",
        b"\x80\x02h\x05.",
        b"\x80\x02]",
        b"\x80\x02].]",
        b"",
        b".",
        b"\x80\x02\x8b\x00\x00\x00\x10" + b"\x7f" * 50 + b".",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02(K\x01K\x02K\x03tQ.",
    ],
)
def test_pickles_that_are_no_data(tmp_path, pickled):
    content = {"w/data.pkl": pickled, "w/version": b"3\n"}
    with pytest.raises(InputError, match=r"w\.pth: "):
        read_published(written(tmp_path / "w.pth", content))


def test_a_tower_of_references_costs_nothing(tmp_path):
    """Each level names the one before twice: written out, 2^90 values."""
    tower = []
    for _ in range(90):
        tower = [tower, tower]
    path = saved(tmp_path / "w.pth", load_file(TRANSFORMERS))
    torch.save({"state_dict": load_file(TRANSFORMERS), "metadata": {"kwargs": {"encoder_dim": tower}}}, path)
    with pytest.raises(InputError, match=r"sample rate|something else"):
        read_published(path, 44_100)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(tmp_path, value):
    state = load_file(TRANSFORMERS)
    state["decoder.block.1.conv_t1.weight"][0, 0, 0] = value
    with pytest.raises(InputError, match=r"decoder\.model\.2\.block\.1\.weight is not finite"):
        read_published(saved(tmp_path / "w.pth", state))


def test_shapes_beyond_every_model(tmp_path):
    state = load_file(TRANSFORMERS) | {"encoder.conv1.weight": torch.zeros(5000, 1, 7)}
    with pytest.raises(InputError, match="encoder_dim = 5000 must be an integer from 1 to 1024"):
        read_published(saved(tmp_path / "w.pth", state))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PyTorch checkpoint"),
        (b"\x80\x02}q\x00.", "PyTorch before 1.6"),
        (b"PK\x03\x04" + bytes(100), "damaged"),
        (b"<!DOCTYPE html><html>", "not a PyTorch checkpoint"),
    ],
)
def test_other_files(tmp_path, data, message):
    path = tmp_path / "w.pth"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_published(path)


def test_packages_with_code_are_refused(tmp_path):
    content = {"DAC/DAC/DAC.pth": b"", "DAC/.data/extern_modules": b"sys", "DAC/dac/model.py": b"raise SystemExit"}
    with pytest.raises(InputError, match="contains code"):
        read_published(written(tmp_path / "package.pth", content))


@pytest.mark.parametrize("kept", [0.999, 0.9, 0.5, 0.1, 0.001])
def test_truncated_checkpoints(tmp_path, kept):
    path = tmp_path / "w.pth"
    path.write_bytes(CHECKPOINT[: int(len(CHECKPOINT) * kept)])
    with pytest.raises(InputError, match=r"w\.pth: "):
        read_published(path)
    path = tmp_path / "w.safetensors"
    data = TRANSFORMERS.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=r"w\.safetensors: "):
        read_published(path, 44_100)


def small_checkpoint():
    file = io.BytesIO()
    state = {name: torch.randn(2, 3) for name in "abcdef"}
    torch.save({"state_dict": state, "metadata": {"kwargs": {"x": [1, 2.5, None]}}}, file)
    return file.getvalue()


def test_mutated_checkpoints_raise_one_kind_of_error_or_hold_the_same_numbers(tmp_path):
    """1,500 files with one to four changed bytes. A CRC guards the numbers, the reader the structure."""
    random = np.random.default_rng(0)
    checkpoint, path = small_checkpoint(), tmp_path / "w.pth"

    def numbers():
        with open_torch_file(path) as file:
            return {name: file.tensor(stored) for name, stored in file.content["state_dict"].items()}

    path.write_bytes(checkpoint)
    reference = numbers()
    refused = 0
    # the pickle and the directory are where it can hurt
    pickle_end, directory = checkpoint.index(b"PK\x03\x04", 10), checkpoint.index(b"PK\x01\x02")
    for trial in range(1500):
        data = bytearray(checkpoint)
        low, high = [(0, pickle_end), (directory, len(data)), (0, len(data))][trial % 3]
        for position in random.integers(low, high, random.integers(1, 5)):
            data[position] = random.integers(256)
        path.write_bytes(data)
        try:
            found = numbers()
        except InputError:
            refused += 1
            continue
        assert found.keys() == reference.keys()
        assert all(torch.equal(found[name], reference[name]) for name in found), trial
    assert refused > 1000


def test_mutated_pickles_are_data_or_refused(tmp_path):
    """The same with a right CRC: the interpreter itself."""
    content = members(small_checkpoint())
    name = next(n for n in content if n.endswith("data.pkl"))
    random = np.random.default_rng(1)
    outcomes = set()
    for _ in range(1000):
        data = bytearray(content[name])
        for position in random.integers(0, len(data), random.integers(1, 4)):
            data[position] = random.integers(256)
        try:
            read_published(written(tmp_path / "w.pth", content | {name: bytes(data)}))
        except InputError as error:
            outcomes.add(str(error).split(": ")[1][:20])
    assert len(outcomes) > 5


def header_of(path, change):
    """Safetensors file with a changed JSON header."""
    data = TRANSFORMERS.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["encoder.conv1.weight"].update(shape=[10**6, 10**6, 7]),
        lambda h: h["encoder.conv1.weight"].update(shape=[2**63, 2, 7]),
        lambda h: h["encoder.conv1.weight"].update(data_offsets=[0, 2**40]),
        lambda h: h["encoder.conv1.weight"].update(data_offsets=[112, 0]),
        lambda h: h["encoder.conv1.weight"].update(dtype="F1"),
        lambda h: h["encoder.conv1.weight"].pop("shape"),
        lambda h: h.update({"twice": h["encoder.conv1.weight"]}),
        lambda h: h.update({"empty": {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]}}),
        lambda h: h.clear(),
    ],
)
def test_hostile_safetensors_headers(tmp_path, change):
    path = header_of(tmp_path / "w.safetensors", change)
    for reader in (read_published, read_model):
        with pytest.raises(InputError, match=r"w\.safetensors: "):
            reader(path, 44_100)
    with pytest.raises(InputError, match=r"w\.safetensors: "):
        load(path)


@pytest.mark.parametrize("size", [0, 2, 2**32, 2**63, 2**64 - 1])
def test_safetensors_header_sizes_at_their_limits(tmp_path, size):
    path = tmp_path / "w.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + b"{}" + bytes(100))
    with pytest.raises(InputError, match=r"w\.safetensors: "):
        read_model(path)


def test_wrong_digest_and_hostile_configuration(tmp_path):
    path = tmp_path / "m.safetensors"
    model = read_published(GOLDEN / "mono.pth")
    save(path, model, {}, exact=True)
    card = path.with_suffix(".json")
    for content in ({"sha256": "0" * 64}, {"sha256": None}, {}, [], "text", 3):
        card.write_text(json.dumps(content))
        with pytest.raises(InputError, match="SHA-256"):
            load(path)
    card.unlink()
    tensors = load_file(path)
    wrong = [
        ("strides", [2.5]), ("strides", 8), ("channels", "1"), ("codebook_size", 10**400), ("layout", 5),
        ("layout", "nowhere"), ("layout", ["a"]), ("layout", "x.toml"), ("side_layers", 1),
        ("quantizer_dropout", None),
    ]  # fmt: skip
    for config in (
        "null", "[]", "{", "[" * 5000, "1e999",
        *(json.dumps({**model.config.as_json(), name: value}) for name, value in wrong),
    ):  # fmt: skip
        save_file(tensors, path, {"config": config})
        with pytest.raises(InputError, match=r"m\.safetensors: "):
            load(path)


def test_the_interpreter_knows_every_operation_that_torch_writes():
    """So that no honest file is refused: the operations in files of all protocols."""
    from codec.descript.safe_pickle import _CONSTANTS, _IGNORED, _PUSHED, _TUPLES, _Machine

    for protocol in (2, 3, 4, 5):
        file = io.BytesIO()
        content = {
            "state_dict": {f"t{i}": torch.zeros(2, 3) for i in range(300)},
            "metadata": {"kwargs": {"a": 1.5}},
        }
        content["metadata"]["logs"] = {
            "x": [1, 2**40, -3, None, True],
            "t": (1, 2, 3, 4),
            "s": "é" * 300,
            "b": b"1",
        }
        torch.save(content, file, pickle_protocol=protocol)
        pickled = next(data for name, data in members(file.getvalue()).items() if name.endswith("data.pkl"))
        known = {*_CONSTANTS, *_IGNORED, *_PUSHED, *_TUPLES, "STOP"}
        used = {operation.name for operation, _, _ in pickletools.genops(pickled)}
        assert not {name for name in used - known if not hasattr(_Machine, f"_{name.lower()}")}
