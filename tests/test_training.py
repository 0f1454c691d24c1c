"""Recipes and fit: same seed, same curve; a kill loses an epoch at most; clear stops."""

import json
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.losses import Charbonnier
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import fsrcnn, srcnn
from srcnn_tf.pairs import Degradation, evaluation_pairs
from srcnn_tf.training import Recipe, fit, recipe_as_json, split_validation, timing
from srcnn_tf.training.callbacks import Checkpoints, Recorder, Run

RECIPE = Recipe(steps=40, hr_patch=24, batch_size=4, steps_per_epoch=10)


@cache
def photographs():
    """Squares no larger than what validation cuts out, so that it scores them whole."""
    return [image[150:246, 150:246] for image in datasets.load("samples", "train", channels=1)]


def images():
    return photographs()[:3], photographs()[3:5]


def train(recipe=RECIPE, folder=None, resume=False, start="bicubic"):
    model = fsrcnn(2, d=32, s=5, m=1, start=start)
    history = fit(model, *images(), recipe, folder, resume)
    return model, history


@pytest.fixture(scope="module")
def trained():
    return train()


def test_training_beats_its_bicubic_start_on_held_out_images():
    train_images, validation_images = images()
    recipe = Recipe(steps=100, hr_patch=33, ema=0.9, steps_per_epoch=25)
    model = srcnn(3)
    history = fit(model, train_images, validation_images, recipe)
    pairs = evaluation_pairs(validation_images, 3)
    before, after = (evaluate(each, pairs, Protocol(3)).psnr for each in (srcnn(3), model))
    assert after > before + 0.4
    assert history.step == [25, 50, 75, 100]
    assert history.loss[-1] < history.loss[0]


def test_same_seed_gives_the_same_curve_and_weights(trained):
    model, history = train()
    assert history.psnr == trained[1].psnr
    assert history.loss == trained[1].loss
    for one, other in zip(model.get_weights(), trained[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_model_ends_with_the_averaged_weights_that_were_validated(trained):
    model, history = trained
    validated = evaluate(model, evaluation_pairs(images()[1], 2), Protocol(2)).psnr
    assert validated == pytest.approx(max(history.psnr), abs=1e-3)


def test_killed_run_resumes_to_the_very_same_weights(trained, tmp_path):
    folder = tmp_path / "run"
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(__file__).rsplit("/", 1)[0]!r})
        from test_training import RECIPE, train
        train(RECIPE, {str(folder)!r})
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 600
    while not (folder / "progress.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = json.loads((folder / "progress.json").read_text())["history"]["step"]
    assert done
    assert done[-1] < RECIPE.steps, "the run ended before it could be killed"

    model, history = train(RECIPE, folder, resume=True)
    assert history.step == [10, 20, 30, 40]
    assert history.psnr == trained[1].psnr
    for one, other in zip(model.get_weights(), trained[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    kept = {path.name.split("-")[0] for path in folder.iterdir()}
    assert kept == {"progress.json", "last", "best"}
    assert len(list(folder.iterdir())) == 3, "stale checkpoints stay behind"


def test_best_checkpoint_holds_the_averaged_weights_alone(tmp_path):
    model, history = train(RECIPE, tmp_path)
    (best,) = tmp_path.glob("best-*.weights.h5")
    (last,) = tmp_path.glob("last-*.weights.h5")
    assert best.name == f"best-{history.best}.weights.h5"
    assert best.stat().st_size < last.stat().st_size / 2  # no optimizer state
    fresh = fsrcnn(2, 32, 5, 1)
    fresh.load_weights(best)
    for one, other in zip(fresh.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    with pytest.raises(FileExistsError, match="resume=True"):
        train(RECIPE, tmp_path)
    with pytest.raises(ValueError, match=r"learning_rate was 0\.002"):
        train(replace(RECIPE, learning_rate=1e-3), tmp_path, resume=True)
    # A longer run of the same recipe goes on where the shorter one stopped.
    longer = train(replace(RECIPE, steps=60), tmp_path, resume=True)[1]
    assert longer.step == [10, 20, 30, 40, 50, 60]
    assert longer.psnr[:4] == history.psnr


def test_soap_resumes_with_its_covariances(tmp_path):
    recipe = replace(RECIPE, optimizer="soap", schedule="constant", steps=20)

    def trained_for(steps, *folder):
        model = srcnn(2, (5, 1, 3), (6, 4))
        fit(model, *images(), replace(recipe, steps=steps), *folder, resume=True)
        return model

    straight = trained_for(20)
    trained_for(10, tmp_path)
    resumed = trained_for(20, tmp_path)
    for one, other in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_that_ended_inside_an_epoch_goes_on(tmp_path):
    train(replace(RECIPE, steps=13), tmp_path)
    assert train(replace(RECIPE, steps=18), tmp_path, resume=True)[1].step == [10, 13, 18]


def test_an_ema_of_momentum_0_is_the_latest_weights():
    latest, _ = train(replace(RECIPE, ema=0.0))
    unaveraged, _ = train(replace(RECIPE, ema=None))
    for one, other in zip(latest.get_weights(), unaveraged.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def residual():
    """A network that adds to the enlarged image: what its layers round does not touch the image."""
    lr_images = keras.Input((None, None, 1))
    maps = enlarged = BicubicUpsampling(2)(lr_images)
    for _ in range(3):
        maps = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(maps)
    detail = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")(maps)
    return keras.Model(lr_images, keras.layers.Add()([enlarged, detail]))


def test_mixed_precision_learns_as_float32_does_and_leaves_float32_behind():
    keras.utils.set_random_seed(0)
    recipe, start = replace(RECIPE, steps=100, ema=0.9), residual().get_weights()
    scores = []
    for precision in ("float32", "mixed"):
        model = residual()
        model.set_weights(start)
        history = fit(model, *images(), replace(recipe, precision=precision))
        scores.append(max(history.psnr))
    assert scores[0] != scores[1]
    assert scores[1] == pytest.approx(scores[0], abs=0.05)
    bicubic = evaluate(BicubicUpsampling(2), evaluation_pairs(images()[1], 2), Protocol(2)).psnr
    assert min(scores) > bicubic + 0.2
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model(images()[1][0][None, :20, :20]).dtype == "float32"


def test_what_auto_takes_is_printed_kept_and_gone_on_with(tmp_path, monkeypatch, capsys):
    def clock(quick):
        times = lambda ways, *_: [0.1 if way.precision == quick else 0.2 for way in ways]  # noqa: E731
        monkeypatch.setattr(timing, "_seconds_of_a_step", times)

    def run(steps, folder=None, **choices):
        model = residual()
        model.set_weights(start)
        fit(model, *images(), replace(constant, steps=steps, **choices), folder, resume=True)
        return model.get_weights()

    constant = replace(RECIPE, schedule="constant")  # the same rates for each length of the run
    start, auto = residual().get_weights(), {"precision": "auto", "jit_compile": "auto"}
    clock("mixed")
    run(10, tmp_path, **auto)
    told = "float32 200.0, float32 with XLA 200.0, mixed 100.0, mixed with XLA 100.0; taking mixed"
    assert told + "\n" in capsys.readouterr().out
    clock("float32")
    resumed = run(20, tmp_path, **auto)
    assert "taking" not in capsys.readouterr().out
    saved = json.loads((tmp_path / "progress.json").read_text())["recipe"]
    assert (saved["precision"], saved["jit_compile"]) == ("mixed", False)
    straight = run(20, precision="mixed", jit_compile=False)
    for one, other in zip(resumed, straight, strict=True):
        np.testing.assert_array_equal(one, other)


def test_auto_times_both_and_passes_over_what_xla_cannot_compile(capsys):
    enlarge = keras.layers.UpSampling2D(2, interpolation="bicubic")
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3), enlarge])
    batches = tf.data.Dataset.from_tensors((np.ones((2, 8, 8, 1)), np.ones((2, 12, 12, 1))))
    recipe = replace(RECIPE, jit_compile="auto")
    taken = timing.settled(recipe, model, batches, lambda *_: keras.optimizers.SGD())
    assert taken == replace(recipe, jit_compile=False)
    assert re.search(
        r": float32 \d+\.\d, float32 with XLA inf; taking float32\n", capsys.readouterr().out
    )


def test_a_machine_without_bfloat16_says_so_before_it_trains_in_it(monkeypatch, capsys):
    card = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: card)
    for precision in ("float32", "mixed"):
        timing.settled(replace(RECIPE, precision=precision), srcnn(2), (), None)
    assert capsys.readouterr().out.count("Tesla T4 imitates bfloat16, slowly") == 1


def test_the_degradation_reaches_crops_and_validation():
    blurred = replace(RECIPE, steps=10, degradation=Degradation(blur=2.0))
    assert train(blurred)[1].psnr[0] < train(replace(RECIPE, steps=10))[1].psnr[0] - 1


def test_callbacks_see_the_averaged_weights():
    class Seen(keras.callbacks.Callback):
        weights = None

        def on_test_end(self, logs=None):
            self.weights = self.model.get_weights()

    seen, model = Seen(), fsrcnn(2, d=32, s=5, m=1)
    fit(model, *images(), replace(RECIPE, steps=10), callbacks=[seen])
    for one, other in zip(seen.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def in_a_process_of_its_own(script):
    """Run what interrupts itself: a worker of pytest does not outlive each interrupt."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


DESTRUCTOR = """
import signal

import keras
from test_training import RECIPE, images

from srcnn_tf.models import fsrcnn
from srcnn_tf.training import fit


class Interrupting:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)  # Python would drop what this raises here


class AtEpochEnd(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        Interrupting()


signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here
try:
    fit(fsrcnn(2, d=32, s=5, m=1), *images(), RECIPE, callbacks=[AtEpochEnd()])
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("stopped in time")
"""


def test_an_interrupt_inside_a_destructor_is_not_lost():
    assert "stopped in time" in in_a_process_of_its_own(DESTRUCTOR)


def test_early_stopping_ends_the_run_and_keeps_the_best_epoch():
    # A rate this high makes a bicubic start worse from the first step on.
    recipe = Recipe(
        steps=400, hr_patch=24, batch_size=4, steps_per_epoch=5, patience=2, learning_rate=0.3
    )
    _, history = train(recipe)
    assert len(history.psnr) < 80
    assert len(history.psnr) - 1 - history.best == 2


def test_run_has_no_more_steps_than_asked_for():
    _, history = train(replace(RECIPE, steps=13))
    assert history.step == [10, 13]


def test_run_of_minutes_ends_on_time():
    _, history = train(Recipe(steps=None, minutes=0.05, hr_patch=24, batch_size=4))
    assert 3 <= history.seconds[-1] < 60
    assert history.step[-1] > 0


def test_nan_loss_stops_with_advice_and_leaves_no_broken_checkpoint(tmp_path):
    recipe = Recipe(
        steps=40,
        hr_patch=24,
        batch_size=4,
        steps_per_epoch=10,
        optimizer="sgd",
        learning_rate=1e18,
        clipnorm=None,
        schedule="constant",
    )
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        train(recipe, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimizer", ["adam", "soap", "rmsprop", "sgd"])
def test_every_optimizer_trains_rgb_under_xla(optimizer):
    colour = [image[-48:, -48:] for image in datasets.load("samples", "train", channels=3)[:3]]
    recipe = Recipe(
        steps=4,
        hr_patch=24,
        batch_size=2,
        steps_per_epoch=2,
        optimizer=optimizer,
        ema=None,
        jit_compile=True,
    )
    model = srcnn(3, channels=3)
    history = fit(model, colour[:2], colour[2:], recipe)
    assert np.isfinite(history.psnr).all()
    assert not np.array_equal(model.get_weights()[0], srcnn(3, channels=3).get_weights()[0])


def test_a_layer_has_the_rate_that_the_recipe_gives_it():
    # test_optimizers holds each optimizer to its factors; here they reach the right layers.
    recipe = replace(RECIPE, steps=1, steps_per_epoch=1, optimizer="sgd", ema=None)
    recipe = replace(recipe, schedule="constant", learning_rate=0.1)
    start, moved = srcnn(2).get_weights(), {}
    for factor in (1, 0.1, 0):
        model = srcnn(2)
        fit(model, *images(), replace(recipe, rate_factors={"reconstruction": factor}))
        moved[factor] = [b - a for a, b in zip(start, model.get_weights(), strict=True)]
    for first, other in ((1, 0.1), (1, 0)):
        for one, two in zip(moved[first][:4], moved[other][:4], strict=True):
            np.testing.assert_array_equal(one, two)
        for one, two in zip(moved[first][4:], moved[other][4:], strict=True):
            np.testing.assert_allclose(two, other * one, atol=1e-7, rtol=0.02)
    assert np.abs(moved[1][4]).max() > 1e-5


def test_rate_factors_name_layers_of_the_model():
    recipe = replace(RECIPE, rate_factors={"last": 0.1})
    with pytest.raises(ValueError, match="patch_extraction, mapping, reconstruction"):
        fit(srcnn(2), *images(), recipe)


def test_schedules_give_the_rates_that_they_say():
    recipe = Recipe(steps=100, learning_rate=2.0)
    assert [recipe.rate(step, 0) for step in (0, 5, 100)] == pytest.approx([0, 0.993844, 0])
    assert recipe.rate(55, 0) == pytest.approx(1 + np.cos(0.55 * np.pi))
    assert replace(recipe, schedule="constant").rate(99, 0) == 2
    exponential = replace(recipe, schedule="exponential", decay=0.9)
    assert [exponential.rate(step, 0) for step in (0, 2)] == pytest.approx([2, 1.62])


def test_loss_may_be_an_object_and_is_kept_with_its_settings(tmp_path):
    train(replace(RECIPE, steps=10, loss=Charbonnier(0.01)), tmp_path)
    saved = json.loads((tmp_path / "progress.json").read_text())["recipe"]
    assert (saved["loss"]["name"], saved["loss"]["epsilon"]) == ("charbonnier", 0.01)


def test_loss_may_be_a_function(tmp_path):
    recipe = replace(RECIPE, steps=10, loss=keras.losses.mean_absolute_error)
    train(recipe, tmp_path)
    saved = json.loads((tmp_path / "progress.json").read_text())["recipe"]
    assert saved["loss"] == "mean_absolute_error"


def test_held_out_images_are_every_tenth_and_never_trained_on():
    shades = [np.full((2, 2, 1), i / 25) for i in range(25)]
    train_set, validation = split_validation(shades, every=10)
    assert [image[0, 0, 0] * 25 for image in validation] == [9, 19]
    assert len(train_set) == 23
    with pytest.raises(ValueError, match="one in 10 of 4"):
        split_validation(shades[:4])
    with pytest.raises(ValueError, match="one in 1 of 1 images: give at least 2"):
        split_validation(shades[:1], 1)
    for every in (2.5, True):
        with pytest.raises(ValueError, match=f"every is {every}: it must be a whole number"):
            split_validation(shades, every)


def test_a_copy_of_a_held_out_image_is_not_trained_on():
    # T91 holds one photograph twice: t36.bmp and t65.bmp.
    shades = [np.full((2, 2, 1), i / 25) for i in range(20)]
    shades[12] = shades[9].copy()
    train_set, _ = split_validation(shades, every=10)
    assert sorted(round(25 * image[0, 0, 0]) for image in train_set) == [
        i for i in range(19) if i not in (9, 12)
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lbfgs"}, "adam, rmsprop, soap, sgd"),
        ({"schedule": "linear"}, "cosine, constant, exponential"),
        ({"decay": 1.5}, r"decay is 1\.5"),
        ({"ema": 1.0}, r"ema is 1\.0"),
        ({"ema": -0.1}, r"ema is -0\.1"),
        (
            {"precision": "float16"},
            "unknown precision 'float16': choose one of float32, mixed, auto",
        ),
        ({"rate_factors": {"mapping": -1}}, "rate factor of 'mapping' is -1"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"minutes": 2}, "either steps or minutes"),
        ({"steps": None}, "either steps or minutes"),
        ({"steps": -1}, "steps is -1"),
        ({"steps": 2.5}, r"steps is 2\.5: it must be a whole number of at least 1, or None"),
        ({"steps": True}, "steps is True"),
        ({"steps": None, "minutes": np.inf}, "minutes is inf: it must be a finite number above 0"),
        ({"learning_rate": np.nan}, "learning_rate is nan"),
        ({"clipnorm": 0}, "clipnorm is 0: it must be a finite number above 0, or None"),
        ({"clipnorm": np.nan}, "clipnorm is nan"),
        ({"rate_factors": {"mapping": np.nan}}, "rate factor of 'mapping' is nan"),
        ({"rate_factors": 0.1}, "rate_factors is 0.1: it must be a mapping"),
        ({"loss": None}, "loss is None"),
        ({"hr_patch": 48.0}, r"hr_patch is 48\.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"flips": 1}, "unknown flips 1: choose one of True, False"),
        ({"rescale": 0.9}, r"rescale is 0\.9: it must be a list or tuple"),
        ({"rescale": (0.9, 1.0)}, r"factor of rescale is 1\.0"),
        ({"degradation": "bicubic"}, "degradation is 'bicubic'"),
        ({"patience": 1.5}, r"patience is 1\.5"),
        ({"seed": 2**64}, "seed is 18446744073709551616: .* at most 4294967295"),
        ({"seed": 1.5}, r"seed is 1\.5: it must be a whole number"),
        ({"jit_compile": 1}, "unknown jit_compile 1: choose one of None, True, False, auto"),
    ],
)
def test_recipes_check_their_fields(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)


def test_a_blank_validation_image_decides_nothing_and_is_named(capsys):
    train_images, validation_images = images()
    blank = np.full((96, 96, 1), 0.5, np.float32)
    recipe, names = replace(RECIPE, steps=10), ["a.png", "b.png", "c.png"]
    curves = []
    for held_out, called in (
        ([validation_images[0], blank, validation_images[1]], names),
        (validation_images, names[:2]),
    ):
        model = fsrcnn(2, d=32, s=5, m=1)
        curves.append(fit(model, train_images, held_out, recipe, names=called).psnr)
    assert curves[0] == curves[1]
    assert "of 3 validation images, 1 are blank: b.png; left out" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"1 are blank: number 1\. Bicubic .* take photographs"):
        fit(fsrcnn(2), train_images, [blank], recipe)


def test_a_run_goes_on_with_the_same_images_under_another_spelling(tmp_path):
    recipe = recipe_as_json(RECIPE)
    about = {"start": "bicubic", "data": {"mine": {"images": 1, "pixels_sha256": "ab"}}}
    history = {"step": [1], "seconds": [0.5], "loss": [0.1], "psnr": [30.0]}
    saved = {"recipe": recipe, "about": about, "history": history, "last": "l", "best": "b"}
    (tmp_path / "progress.json").write_text(json.dumps(saved))
    same, other = ({"images": 1, "pixels_sha256": digest} for digest in ("ab", "cd"))
    for data, goes_on in (({"./mine/": same}, True), ({"mine": other}, False)):
        run = Run(RECIPE)
        arguments = (run, Recorder(run), tmp_path, about | {"data": data}, True)
        if goes_on:
            assert Checkpoints(*arguments).run.step == 1
        else:
            with pytest.raises(ValueError, match="holds another run: data was"):
                Checkpoints(*arguments)


@pytest.mark.parametrize("kind", ["last", "best"])
def test_a_damaged_checkpoint_is_named_before_anything_is_trained(tmp_path, kind):
    recipe = replace(RECIPE, steps=10)
    train(recipe, tmp_path)
    (checkpoint,) = tmp_path.glob(f"{kind}-*.weights.h5")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"{checkpoint.name} is missing, damaged or another"):
        train(replace(recipe, steps=20), tmp_path, resume=True)
    checkpoint.unlink()
    with pytest.raises(ValueError, match=rf"{checkpoint.name} is missing"):
        train(replace(recipe, steps=20), tmp_path, resume=True)


INTERRUPTS = """
import signal
from srcnn_tf.training import Recipe
from srcnn_tf.training.callbacks import Run, Stopping

stopping = Stopping(Run(Recipe()))
for handler in (signal.SIG_IGN, signal.default_int_handler):
    signal.signal(signal.SIGINT, handler)
    with stopping.interrupts_noted():
        signal.raise_signal(signal.SIGINT)
        assert stopping.interrupted == (handler is not signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is handler
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")
def test_an_ignored_interrupt_stays_ignored():
    in_a_process_of_its_own(INTERRUPTS)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no validation images"):
        fit(srcnn(2), images()[0], [], RECIPE)
    small = "1 of 1 images are smaller than 24×24 pixels, the size of a crop: number 1"
    with pytest.raises(ValueError, match=small):
        fit(srcnn(2), [np.zeros((10, 10, 1))], images()[1], RECIPE)
    with pytest.raises(ValueError, match=r"1 of 1 validation images .* number 1 \(40×4\)"):
        fit(srcnn(2), images()[0], [np.zeros((40, 4, 1))], RECIPE)
