"""Model files: the same bits back, and one line for every file that is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import softgrad as sg
from softgrad.errors import UsageError
from softgrad.learn import Standardizer
from softgrad.learn.model_file import SCHEMA, Model, load_model, predict, save_model
from softgrad.nn import AbstractLayer, Linear, Network, build_mlp

safetensors_numpy = pytest.importorskip("safetensors.numpy")

CLASSES, FEATURES = ("a", "b", "ü"), ("x", "y", "z", "0.W")


def _model(network=None):
    rng = np.random.default_rng(0)
    standardizer = Standardizer(rng.normal(size=4), rng.uniform(1, 2, size=4))
    return Model(network or build_mlp(4, 3, seed=0), CLASSES, FEATURES, standardizer)


def _linear(outputs=3, **options):
    return Linear(4, outputs, seed=1, **options)


NETWORKS = {
    "default": build_mlp(4, 3, seed=0),
    "sigmoid head": build_mlp(4, 3, head="sigmoid", activation="tanh", seed=0),
    "softmax hidden": build_mlp(4, 3, activation="softmax", seed=0),
    "float32": build_mlp(4, 3, seed=0, dtype=np.float32),
    "settings": Network(
        [
            _linear(5, bias=False),
            sg.Entmax(1.25),
            Linear(5, 3, seed=2),
            sg.Softmax(0.5),
        ],
        sg.CrossEntropy(label_smoothing=0.1, reduction="sum", ignore_index=7),
        fuse=False,
    ),
    "log_softmax": Network([_linear(), sg.log_softmax]),
    "fenchel-young": Network([_linear()], sg.FenchelYoung(map=sg.Entmax(1.75))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip_gives_the_same_bits(name, tmp_path):
    model, path = _model(NETWORKS[name]), tmp_path / "model.safetensors"
    save_model(path, model)
    same = load_model(path)
    assert (same.classes, same.features) == (CLASSES, FEATURES)
    assert repr(same.network) == repr(model.network)
    assert same.network.parameters.keys() == model.network.parameters.keys()
    for key, parameter in model.network.parameters.items():
        assert same.network.parameters[key].dtype == parameter.dtype
        np.testing.assert_array_equal(same.network.parameters[key], parameter)
    X = np.random.default_rng(1).normal(size=(9, 4))
    assert predict(same, X).tobytes() == predict(model, X).tobytes()
    assert same.network.loss_value(X, np.arange(9) % 3) == model.network.loss_value(
        X, np.arange(9) % 3
    )
    save_model(tmp_path / "again", same)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_settings_may_be_numpy_numbers(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, _model(Network([_linear()], sg.CrossEntropy(ignore_index=np.int64(7)))))
    assert load_model(path).network.loss == sg.CrossEntropy(ignore_index=7)


def test_a_loaded_network_trains_on(tmp_path):
    model, path = _model(), tmp_path / "model.safetensors"
    save_model(path, model)
    network = load_model(path).network
    W = network.parameters["0.W"]
    W += 1.0
    np.testing.assert_array_equal(network.layers[0].W, model.network.layers[0].W + 1.0)


def test_predict_standardises_first():
    model = _model()
    X = np.random.default_rng(1).normal(size=(5, 4))
    expected = model.network((X - model.standardizer.mean) / model.standardizer.scale)
    np.testing.assert_array_equal(predict(model, X), expected)
    np.testing.assert_allclose(expected.sum(axis=-1), 1.0, rtol=1e-15)
    with pytest.raises(ValueError, match="`X` must be of shape"):
        predict(model, X[:, :3])


def test_the_header_is_readable(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, _model())
    tree = _header(path)
    assert tree["schema"] == SCHEMA == "softgrad.model/1"
    assert tree["model"]["classes"] == list(CLASSES)
    assert tree["model"]["network"]["layers"][0]["W"] == {"tensor": "network.layers.0.W"}
    assert set(safetensors_numpy.load_file(path)) >= {"network.layers.0.W", "standardizer.mean"}


def _header(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["softgrad"])


def _rewrite(path, change_tree=lambda tree: tree, change_tensors=lambda tensors: tensors):
    """Write the file anew, with a header or tensors that are not what they should be."""
    tree, tensors = _header(path), safetensors_numpy.load_file(path)
    tree = change_tree(tree) or tree
    tensors = change_tensors(tensors) or tensors
    text = tree if isinstance(tree, str) else json.dumps(tree)
    path.write_bytes(safetensors_numpy.save(tensors, metadata={"softgrad": text}))


def _set(*keys, to):
    def change(tree):
        inner = tree
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to

    return change


def _tensor(name, array):
    return lambda tensors: {**tensors, name: array}


LAYERS = ("model", "network", "layers")
BAD_FILES = {
    "newer schema": (
        _set("schema", to="softgrad.model/2"),
        None,
        "expected the schema 'softgrad.m",
    ),
    "no schema": (lambda t: t.pop("schema") and None, None, "the header is damaged"),
    "not JSON": (lambda t: "{", None, "the header is damaged"),
    "deep JSON": (lambda t: "[" * 100_000, None, "the header is damaged"),
    "a list": (lambda t: "[]", None, "the header is damaged"),
    "no model": (_set("model", to={}), None, "there is no kind None"),
    "another object": (
        _set("model", to={"kind": "ReLU"}),
        None,
        "`model` must be a model, got ReLU",
    ),
    "unknown kind": (_set(*LAYERS, 1, "map", "kind", to="os.system"), None, "no kind 'os.system'"),
    "abstract kind": (
        _set(*LAYERS, 1, "map", "kind", to="AbstractLoss"),
        None,
        "no kind 'Abstract",
    ),
    "odd kind": (_set(*LAYERS, 1, "map", "kind", to=["ReLU"]), None, r"no kind \['ReLU'\]"),
    "unknown setting": (_set(*LAYERS, 1, "map", "slope", to=0.1), None, "ReLU: .*'slope'"),
    "bad setting": (_set(*LAYERS, 5, "map", "temperature", to=-1), None, "`temperature` must be"),
    "bad loss": (_set("model", "network", "loss", to=3), None, "`loss` must be a loss"),
    "bad layer": (_set(*LAYERS, 1, to="relu"), None, r"`layers\[1\]` must be a layer"),
    "field missing": (
        lambda t: t["model"].pop("classes") and None,
        None,
        "Model: missing .*'classes'",
    ),
    "array for a setting": (
        _set("model", "network", "fuse", to={"tensor": "network.layers.0.W"}),
        None,
        "`fuse` must be",
    ),
    "bad layers": (_set(*LAYERS, to=7), None, "`layers` must be a sequence"),
    "no layers": (_set(*LAYERS, to=[]), None, "`layers` must be at least one layer"),
    "bad network": (_set("model", "network", to=None), None, "`network` must be a Network"),
    "bad standardizer": (_set("model", "standardizer", to=1), None, "must be a Standardizer"),
    "bad mean": (
        _set("model", "standardizer", "mean", to=[0]),
        None,
        "`standardizer.mean` must be an",
    ),
    "class missing": (_set("model", "classes", to=["a", "b"]), None, "`classes` must be one of 3"),
    "class a number": (_set("model", "classes", to=["a", "b", 3]), None, "`classes` must be a tup"),
    "feature missing": (
        _set("model", "features", to=["x"]),
        None,
        "`standardizer.mean` must be an array of",
    ),
    "tensor missing": (_set(*LAYERS, 0, "W", "tensor", to="V"), None, "there is no tensor 'V'"),
    "tensor unused": (None, _tensor("V", np.ones(1)), "nothing uses the tensors V"),
    "rows of W": (None, _tensor("network.layers.0.W", np.ones((63, 4))), "`b` must be of shape"),
    "columns of W": (
        None,
        _tensor("network.layers.0.W", np.ones((64, 5))),
        r"`x` must be of shape",
    ),
    "shape of W": (None, _tensor("network.layers.0.W", np.ones(64)), "`W` must be of shape"),
    "W of integers": (
        None,
        _tensor("network.layers.0.W", np.ones((64, 4), bool)),
        "`W` must be real",
    ),
    "NaN": (None, _tensor("network.layers.0.b", np.full(64, np.nan)), "must be one with finite"),
    "scale of 0": (
        None,
        _tensor("standardizer.scale", np.zeros(4)),
        "`standardizer` must be finite",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_inconsistent_files_are_refused(case, tmp_path):
    change_tree, change_tensors, message = BAD_FILES[case]
    path = tmp_path / "model.safetensors"
    save_model(path, _model())
    keep = lambda whole: whole  # noqa: E731
    _rewrite(path, change_tree or keep, change_tensors or keep)
    with pytest.raises(UsageError, match=message) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_the_rewritten_file_itself_is_fine(tmp_path):
    """So that the cases above fail for what they change, and for nothing else."""
    path = tmp_path / "model.safetensors"
    save_model(path, _model())
    _rewrite(path)
    assert load_model(path).classes == CLASSES


def test_truncated_files_are_refused(tmp_path):
    path, short = tmp_path / "model.safetensors", tmp_path / "short.safetensors"
    save_model(path, _model())
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 100, 1500, len(whole) // 2, len(whole) - 1):
        short.write_bytes(whole[:length])
        with pytest.raises(UsageError, match="damaged, cut short or not a safetensors file"):
            load_model(short)


def test_files_that_are_no_models_are_refused(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(safetensors_numpy.save({"W": np.ones(3)}))
    with pytest.raises(UsageError, match="a safetensors file, but not a model of softgrad"):
        load_model(foreign)
    text = tmp_path / "model.csv"
    text.write_text("x,y\n1,2\n")
    with pytest.raises(UsageError, match="damaged, cut short or not"):
        load_model(text)
    with pytest.raises(UsageError, match="no such file or directory"):
        load_model(tmp_path / "absent")
    with pytest.raises(UsageError, match="is a directory"):
        load_model(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    class Doubled(AbstractLayer):
        parameters = {}  # noqa: RUF012

        def linearize(self, x):
            return 2.0 * np.asarray(x), lambda y_bar: (2.0 * y_bar, {})

    path = tmp_path / "model.safetensors"
    save_model(path, _model())
    old = path.read_bytes()
    with pytest.raises(TypeError, match=r"`model.network.layers.1` must be one of .*, got Doubled"):
        save_model(path, _model(Network([_linear(), Doubled(), sg.softmax])))
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(OSError, match="No such file"):
        save_model(tmp_path / "absent" / "model", _model())


def test_what_is_no_model_or_no_path_is_a_type_error(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, _model())
    old = path.read_bytes()
    kinds = "a Model or a LanguageModel"
    with pytest.raises(TypeError, match=rf"^`model` must be {kinds}, got NoneType$"):
        save_model(path, None)
    assert path.read_bytes() == old
    with pytest.raises(TypeError, match=r"^`model` must be a Model, got Network$"):
        predict(_model().network, np.ones((1, 4)))
    for path in (5, None):
        with pytest.raises(TypeError, match=r"^`path` must be a path, got "):
            save_model(path, _model())
        with pytest.raises(TypeError, match=r"^`path` must be a path, got "):
            load_model(path)


def test_a_model_of_parts_that_do_not_fit_is_refused():
    model = _model()
    with pytest.raises(ValueError, match="`classes` must be one of 3 names"):
        Model(model.network, ("a",), FEATURES, model.standardizer)
    with pytest.raises(TypeError, match="`classes` must be a tuple of names"):
        Model(model.network, [*CLASSES], FEATURES, model.standardizer)


def test_safetensors_is_loaded_when_a_file_is():
    code = "import sys, softgrad.learn.model_file; print('safetensors' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert "pickle" not in Path(sys.modules[load_model.__module__].__file__).read_text()
