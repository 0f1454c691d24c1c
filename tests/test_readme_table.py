"""The README's results table: whole, and with the costs that the networks have."""

from pathlib import Path

import pytest
import readme_table
import weights_figure

from srcnn_tf.metrics import Scores
from srcnn_tf.models import build
from srcnn_tf.networks import shipped
from srcnn_tf.probes import multiply_adds
from srcnn_tf.scales import SCALES
from srcnn_tf.score_table import Row, published

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def row(method: str, scale: int, name: str) -> Row:
    """Return the row that the benchmark would measure, with the score that the README states."""
    model = None if method == "bicubic" else build(method, scale)
    (figures, *_) = published(method, name, scale) or [{}]
    return Row(
        method,
        name,
        scale,
        psnr=readme_table.scores(README)[method, scale, name].psnr,
        ssim=readme_table.scores(README)[method, scale, name].ssim,
        parameters=model.count_params() if model else 0,
        multiply_adds=round(multiply_adds(model)) if model else 0,
        ms_per_megapixel=0.0,
        published_psnr=float(figures["psnr_y"]) if figures.get("psnr_y") else None,
        published_ssim=float(figures["ssim_y"]) if figures.get("ssim_y") else None,
        published_data="",
        source="",
    )


def test_the_table_has_every_shipped_network_its_costs_and_what_is_published():
    """The scores themselves are measured in test_pretrained and test_score_table."""
    methods = [*(("bicubic", scale) for scale in SCALES), *shipped()]
    rows = [row(method, scale, name) for method, scale in methods for name in readme_table.SETS]
    assert readme_table.table(rows) in README, "run make results"


def test_the_figure_has_what_the_table_and_the_papers_state():
    for scale in SCALES:
        ours, known = weights_figure.ours(README, scale), weights_figure.published(scale)
        assert set(ours) == {name for name, its_scale in shipped() if its_scale == scale}
        assert ours["fsrcnn"] == (
            12_809,
            readme_table.scores(README)["fsrcnn", scale, "set5"].psnr,
        )
        assert known["vdsr"][0] == 665_000
    assert known["fsrcnn"] == (12_809, 30.71)  # of two published figures the higher
    panels = weights_figure.draw(README).axes
    assert [panel.get_title() for panel in panels] == ["Set5 ×2", "Set5 ×3", "Set5 ×4"]
    assert {"c-dcscn", "vdsr", "fsrcnn"} <= {text.get_text() for text in panels[0].texts}


def test_a_new_table_takes_the_place_of_the_old_one(tmp_path, monkeypatch):
    text = f"before\n{readme_table.BLOCK.search(README)[0]}\nafter\n"
    (tmp_path / "README.md").write_text(text)
    monkeypatch.setattr(readme_table, "ROOT", tmp_path)
    header, line = "method,set,scale,psnr,ssim,parameters,multiply_adds,ms_per_megapixel", []
    header += ",published_psnr,published_ssim,published_data,source"
    for method, scale in [*(("bicubic", scale) for scale in SCALES), *shipped()]:
        line += [f"{method},{name},{scale},20.5,0.5,1,1,1,,,," for name in readme_table.SETS]
    (tmp_path / "results.csv").write_text("\n".join([header, *line, ""]))
    assert readme_table.main([str(tmp_path / "results.csv")]) == 0
    written = (tmp_path / "README.md").read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert set(readme_table.scores(written).values()) == {Scores(20.5, 0.5)}
    (tmp_path / "README.md").write_text("no block")
    with pytest.raises(SystemExit):
        readme_table.main(["--nosuch"])
    assert readme_table.main([str(tmp_path / "results.csv")]) == 1
