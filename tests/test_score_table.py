"""The score table: published bicubic reproduced, degradations, files."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import readme_table

from srcnn_tf import datasets, score_table
from srcnn_tf.images import quantise, resize, write_image
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.pairs import Degradation, degrade, image_pair

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


PUBLISHED = {
    "set5": [(33.66, 0.9299), (30.39, 0.8682), (28.42, 0.8104)],
    "set14": [(30.24, 0.8688), (27.55, 0.7742), (26.00, 0.7027)],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_bicubic_is_reproduced(load_or_skip, name):
    load_or_skip(name)
    rows = list(score_table.run(["bicubic"], [name]))
    assert [row.scale for row in rows] == [2, 3, 4]
    assert [(row.published_psnr, row.published_ssim) for row in rows] == PUBLISHED[name]
    for row in rows:
        told = readme_table.scores(README)["bicubic", row.scale, name]
        assert row.psnr == pytest.approx(told.psnr, abs=0.0051)
        assert row.ssim == pytest.approx(told.ssim, abs=0.000051)
        assert abs(row.psnr - row.published_psnr) < 0.03
        assert abs(row.ssim - row.published_ssim) < 0.001
        assert "VDSR" in row.source
        assert (row.parameters, row.multiply_adds) == (0, 0)
        assert row.ms_per_megapixel > 0


def test_interpolations_come_in_the_order_of_their_quality():
    rows = list(score_table.run(score_table.INTERPOLATIONS, ["samples"], [3]))
    assert [row.method for row in rows] == ["nearest", "bilinear", "bicubic", "lanczos"]
    assert sorted(rows, key=lambda row: row.psnr) == rows
    assert {row.published_psnr for row in rows} == {None}


def test_of_several_published_figures_the_highest_is_shown():
    rows = score_table.published("fsrcnn", "set5", 3)
    assert [(row["training_set"], row["psnr_y"]) for row in rows] == [
        ("T91+General100", "33.16"),
        ("T91", "33.06"),
    ]
    assert score_table.published("fsrcnn", "set5", 5) == []


def test_another_degradation_is_scored_and_has_no_published_figures(load_or_skip):
    load_or_skip("set5")
    (usual,) = score_table.run(["bicubic"], ["set5"], [3])
    (blurred,) = score_table.run(["bicubic"], ["set5"], [3], Degradation(blur=2.0))
    (aliased,) = score_table.run(["bicubic"], ["set5"], [3], Degradation(antialias=False))
    assert blurred.psnr < usual.psnr - 1
    assert aliased.psnr - usual.psnr == pytest.approx(-0.65, abs=0.03)  # the slip of lesson 01
    assert usual.published_psnr == 30.39
    assert blurred.published_psnr is aliased.published_psnr is None


def test_other_metrics_are_means_over_the_images():
    (row,) = score_table.run(["bicubic"], ["samples"], [2], metrics=["ms-ssim", "consistency"])
    assert list(row.more) == ["ms-ssim", "consistency"]
    assert [len(shot.scores) for shot in row.shots] == [4, 4, 4]
    for name, mean in {"psnr": row.psnr, "ssim": row.ssim, **row.more}.items():
        assert mean == pytest.approx(np.mean([shot.scores[name] for shot in row.shots]))
    lr_image, hr_image = image_pair(datasets.load("samples", "test")[0], 2)
    result = quantise(resize(lr_image, hr_image.shape[:2]))
    expected = float(psnr(lr_image, degrade(result, 2), Protocol(0)))
    first = min(row.shots, key=lambda shot: shot.file)
    assert first.scores["consistency"] == pytest.approx(expected, abs=1e-3)
    # The shots show the truth, at a place that depends on it alone.
    (other,) = score_table.run(["nearest"], ["samples"], [2])
    for one, two in zip(row.shots, other.shots, strict=True):
        assert np.array_equal(one.truth, two.truth)
        assert one.truth.shape == one.crop.shape == (score_table.CROP, score_table.CROP, 1)
        assert not np.array_equal(one.crop, two.crop)
    assert float(psnr(one.truth, one.crop, Protocol(0))) < one.scores["psnr"]  # it is the finest
    with pytest.raises(
        ValueError, match="unknown metric 'lpips': choose one of psnr, ssim, ms-ssim"
    ):
        list(score_table.run(["nearest"], ["samples"], [2], metrics=["lpips"]))


def test_noise_on_lr_does_not_hide_inconsistency():
    noisy = Degradation(noise=10)
    (row,) = score_table.run(["bicubic"], ["samples"], [2], noisy, ["consistency"])
    (clean,) = score_table.run(["bicubic"], ["samples"], [2], metrics=["consistency"])
    assert row.more["consistency"] < clean.more["consistency"]


def test_a_set_out_of_reach_is_said_and_skipped(monkeypatch, capsys):
    iterate = datasets.iterate_named

    def without_urban(name, *args):
        if name == "urban100":
            raise ConnectionError("cannot fetch urban100")
        return iterate(name, *args)

    monkeypatch.setattr(datasets, "iterate_named", without_urban)
    rows = list(score_table.run(["nearest"], ["urban100", "samples"], [2]))
    assert [row.set for row in rows] == ["samples"]
    assert "urban100 is skipped: cannot fetch urban100" in capsys.readouterr().out


def test_bad_names_are_told():
    with pytest.raises(ValueError, match=r"unknown method 'nosuch': .* nearest, .*fsrcnn"):
        list(score_table.run(["nosuch"], ["samples"]))
    with pytest.raises(ValueError, match="unknown image set 'set6'"):
        list(score_table.run(["nearest"], ["set6"]))
    with pytest.raises(ValueError, match="scale 5 is not supported"):
        list(score_table.run(["nearest"], ["samples"], [5]))


def test_an_image_too_small_is_told_before_any_work(tmp_path, capsys):
    write_image(tmp_path / "small.png", np.eye(30, 19))
    with pytest.raises(
        ValueError, match=r"than 20×20 pixels, what SSIM needs at ×3: .*small\.png \(30×19\)"
    ):
        list(score_table.run(["nearest"], ["samples", str(tmp_path)], [2, 3]))
    assert capsys.readouterr().out == ""
    write_image(tmp_path / "small.png", np.eye(180, 181), overwrite=True)
    with pytest.raises(ValueError, match=r"than 182×182 pixels, what MS-SSIM needs at ×2: .*small"):
        list(score_table.run(["nearest"], [str(tmp_path)], [2], metrics=["ms-ssim"]))
    write_image(tmp_path / "small.png", np.eye(30, 19), overwrite=True)
    (row,) = score_table.run(["nearest", "nearest"], [str(tmp_path)], [2, 2])
    assert np.isfinite(row.psnr)


def test_images_that_any_method_restores_do_not_decide(tmp_path, capsys):
    rng = np.random.default_rng(0)
    write_image(tmp_path / "a.png", rng.random((24, 24)))
    (alone,) = score_table.run(["nearest"], [str(tmp_path)], [2])
    write_image(tmp_path / "b.png", np.full((24, 24, 3), 0.5))
    write_image(tmp_path / "c.png", np.zeros((24, 24)))
    (row,) = score_table.run(["nearest"], [str(tmp_path)], [2])
    assert (row.psnr, row.ssim) == (alone.psnr, alone.ssim)
    said = capsys.readouterr().out
    assert (
        f"{tmp_path}: 2 of 3 images ({tmp_path}/b.png, {tmp_path}/c.png) left out as blank" in said
    )

    almost = np.full((24, 24), 128, np.uint8)
    almost[0, 0] += 1  # blank where it is scored
    write_image(tmp_path / "d.png", almost)
    (row,) = score_table.run(["bicubic"], [str(tmp_path)], [2])
    (tmp_path / "d.png").unlink()
    assert [row.psnr] == [row.psnr for row in score_table.run(["bicubic"], [str(tmp_path)], [2])]
    said = capsys.readouterr().out
    assert (
        f"bicubic restores 1 of 2 images ({tmp_path}/d.png) without error; they are left out"
        in said
    )

    write_image(tmp_path / "a.png", almost, overwrite=True)
    (row,) = score_table.run(["bicubic"], [str(tmp_path)], [2])
    assert row.psnr == np.inf
    assert "without error; its PSNR is infinite" in capsys.readouterr().out
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match="holds nothing but blank images"):
        list(score_table.run(["nearest"], [str(tmp_path)], [2]))


def test_rows_survive_their_file_and_show_in_a_terminal():
    row = score_table.Row(
        "fsrcnn", "set5", 3, 33.25, 0.914, 12809, 1385, 250.0, 33.16, None, "T91", "p"
    )
    bare = dataclasses.replace(row, published_psnr=None, published_data="", source="")
    assert readme_table.from_csv(score_table.to_csv([row, bare])) == [row, bare]
    more = dataclasses.replace(bare, more={"ms-ssim": 0.98765432})
    names, values = score_table.to_csv([more]).splitlines()
    assert names.endswith(",source,ms-ssim")
    assert values.endswith(",0.987654")
    assert score_table.to_text([more]).splitlines()[2].split()[5] == "0.9877"
    header, _, first, second = score_table.to_text([row, bare]).splitlines()
    assert header.split()[:4] == ["set", "scale", "method", "PSNR"]
    assert first.split()[:5] == ["set5", "×3", "fsrcnn", "33.25", "0.9140"]
    assert first.endswith("33.16 (p, T91)")
    assert second.split()[-1] == "250"
