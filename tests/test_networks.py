"""The table of networks: the one place that names them, read without TensorFlow."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from srcnn_tf import cli, networks, pretrained

ROOT = Path(__file__).resolve().parent.parent


def test_the_table_is_read_without_tensorflow_or_keras():
    code = (
        "import sys; from srcnn_tf import networks, cli; networks.networks();"
        "sys.exit(bool({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_other_file_of_library_tools_or_makefile_lists_the_networks():
    """A docstring or a benchmark may name one as an example; a second list names them all."""
    files = [*(ROOT / "srcnn_tf").rglob("*.py"), *(ROOT / "tools").glob("*.py"), ROOT / "Makefile"]
    files = [file for file in files if file.parent.name != "checks"]  # exercises
    for file in files:
        text = file.read_text()
        named = [n for n in networks.networks() if re.search(rf'"{re.escape(n)}["+:]', text)]
        assert len(named) < 3, f"{file.relative_to(ROOT)} names {named}"


def test_a_scale_without_a_recipe_is_refused_with_a_sentence(monkeypatch):
    bare = replace(networks.find("fsrcnn"), recipes={2: {"hr_patch": 32, "steps": 10}})
    monkeypatch.setattr(networks, "networks", lambda: {"fsrcnn": bare})
    with pytest.raises(ValueError, match=r"fsrcnn has no recipe for ×3, only for ×2: add \[netwo"):
        pretrained.default_recipe("fsrcnn", 3)
    monkeypatch.setattr(networks, "networks", lambda: {"fsrcnn": replace(bare, recipes={})})
    with pytest.raises(ValueError, match="has no recipe for ×2, only for none"):
        pretrained.default_recipe("fsrcnn", 2)


def test_train_refuses_a_network_without_a_recipe(monkeypatch, tmp_path, capsys):
    bare = replace(networks.find("fsrcnn"), recipes={})
    monkeypatch.setattr(networks, "networks", lambda: {"fsrcnn": bare})
    assert cli.main(["train", "fsrcnn", "--scale", "3", "--out", str(tmp_path / "out")]) == 2
    assert "fsrcnn has no recipe for ×3" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_channels_are_the_networks_own_where_none_are_asked_for(monkeypatch, tmp_path):
    built = []

    def fit(model, *args, **options):
        built.append(model)
        raise ValueError("that will do")

    monkeypatch.setattr("srcnn_tf.making.fit", fit)
    for name, words in (("srresnet", []), ("srresnet", ["--channels", "1"]), ("fsrcnn", [])):
        scale = ["--scale", "4", "--data", "samples"]
        assert cli.main(["train", name, *scale, *words, "--out", str(tmp_path)]) == 2
    assert [model.input_shape[-1] for model in built] == [3, 1, 1]


def test_each_recipe_is_what_the_networks_were_trained_by():
    """Facts of the table that the cards confirm elsewhere: crops of the papers' sizes, rates."""
    patches = {
        name: [networks.find(name).recipe(scale)["hr_patch"] for scale in (2, 3, 4)]
        for name in ("fsrcnn", "fsrcnn-s", "srcnn-9-1-5", "srcnn-9-5-5")
    }
    assert patches["fsrcnn"] == patches["fsrcnn-s"] == [32, 48, 64]  # 16 LR pixels
    assert patches["srcnn-9-1-5"] == patches["srcnn-9-5-5"] == [32, 33, 32]  # 33 HR pixels
    rates = [networks.find("fsrcnn-s").recipe(scale)["learning_rate"] for scale in (2, 3, 4)]
    assert rates == [3e-3, 8e-3, 8e-3]


def test_unreached_floors_name_sets_that_have_one():
    for network in networks.networks().values():
        for scale, sets in network.unreached.items():
            assert set(sets) <= set(network.floors.get(scale, {}))


def test_the_default_network_is_one_that_is_shipped_at_every_scale():
    assert {(networks.default_network(), scale) for scale in (2, 3, 4)} <= set(networks.shipped())
