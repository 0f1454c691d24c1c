"""The command line: `python -m srcnn_tf upscale`, `train`, `benchmark` and `export`.

Each command imports what it needs when it runs: TensorFlow takes seconds, `--help` should not.
"""

import argparse
import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from srcnn_tf.networks import default_network, networks
from srcnn_tf.quiet import load_tensorflow
from srcnn_tf.scales import SCALES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after `python -m srcnn_tf`; None takes them from the command line.

    Returns:
        The exit code: 0 for success, 2 for input that cannot be used, 130 after Ctrl-C, 141
        where the output is read no further.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # no × that a terminal lacks may cost a result
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says later on
    # It warns of retracing where many networks are each traced once, as `benchmark` does.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        load_tensorflow()
        options.run(options)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as a shell tells of a program that SIGPIPE ended
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f"srcnn_tf {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _path(text: str) -> Path:
    """Convert a word to a path; Path("") would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; the current folder is .")
    return Path(text)


def _check_folder(path: Path) -> None:
    """Raise an error if no folder can be at a path, or be made there."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"cannot write into {path}: {place} is a file, no folder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m srcnn_tf", description="Image super-resolution.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_upscale(commands)
    _add_train(commands)
    _add_benchmark(commands)
    _add_export(commands)
    return parser


def _command(commands, run: Callable) -> argparse.ArgumentParser:
    """Add a command by the name of what runs it, whose docstring is its help."""
    about = run.__doc__ or ""
    parser = commands.add_parser(run.__name__[1:], help=about.partition("\n")[0], description=about)
    parser.set_defaults(run=run)
    return parser


def _add_upscale(commands) -> None:
    parser = _command(commands, _upscale)
    add = parser.add_argument
    add("source", metavar="IN", type=_path, help="image file, folder of them, or film")
    where = "file, or folder, to write into (default: beside IN, with _x3 or so in its name)"
    add("target", metavar="OUT", type=_path, nargs="?", help=where)
    add("--scale", type=int, choices=SCALES, help="default: 3, or the one that MODEL has")
    which = "a shipped network (default: %(default)s), or your own: the folder or .weights.h5 file "
    which += "that `train` wrote, or a .keras file"
    add("--model", default=default_network(), help=which)
    what = "what runs it (default: auto, OpenVINO where it is: pip install 'srcnn-tf[export]')"
    engines = ("auto", "tensorflow", "openvino", "onnx")
    add("--engine", choices=engines, default="auto", help=what)
    add("--overwrite", action="store_true", help="replace files that are there")
    alone = " or ".join(name for name, network in networks().items() if network.zero_shot)
    group = parser.add_argument_group(f"--model {alone}, which learns from the image itself")
    add = group.add_argument
    minutes = "of training, Ctrl-C ends it with the best so far (default: 2)"
    add("--minutes", type=float, help=minutes)
    blur = "what blurred the image before it was shrunk: standard deviation in pixels of the result"
    add("--blur", type=float, help=f"{blur} (default: bicubic shrinking alone)")
    add("--gradual", action="store_true", help="learn the smaller scales first")


def _upscale(options: argparse.Namespace) -> None:
    """Enlarge an image file, a folder of them, or a film.

    PNG, JPEG, BMP, WebP and TIFF files: grey, RGB, RGBA or palette, 8 or 16 bits. A network
    for luma enlarges that, chroma is interpolated, as is alpha. Colour profile and dpi are kept,
    EXIF and text are not. Films: MP4, MKV, MOV and WebM of 8 bits in, H.264 out; sound and
    subtitles are kept.
    """
    if not options.source.exists():
        raise FileNotFoundError(f"there is no file or folder {options.source}")
    source, target = options.source, options.target
    from srcnn_tf.films import SUFFIXES, upscale_film
    from srcnn_tf.pretrained import card, load_pretrained
    from srcnn_tf.probes import scale_of
    from srcnn_tf.upscaling import upscale_file, upscale_folder

    known, how = networks().get(options.model), {}
    is_film = source.suffix.lower() in SUFFIXES and not source.is_dir()
    # Of what is shipped, 3 where it can be; of your own, what it was trained for.
    default = (3 if 3 in known.recipes else next(iter(known.recipes))) if known else None
    if known and known.zero_shot and is_film:
        raise ValueError(f"{options.model} learns from one image: take another network for a film")
    if known and known.zero_shot:
        model, how["enlarge"] = _learning_alone(options, options.scale or 3)
    elif options.minutes is not None or options.blur is not None or options.gradual:
        told = "--minutes, --blur and --gradual are for networks that learn from the image itself"
        raise ValueError(f"{told}, not for {options.model}")
    else:
        which = options.model, options.scale or default
        model = load_pretrained(*which)
        if Path(options.model).suffix != ".keras":
            name = card(*which)["model"]
            if networks()[name].adversary is not None:
                print(f"{name} learnt to look real: its finest details are invented")
    scale = scale_of(model)
    if source.is_dir():
        folder = source.resolve()  # "." has no name of its own
        target = target or folder.with_name(f"{folder.name}_x{scale}")
        _check_folder(target)
        if target.resolve() == folder:
            raise ValueError(f"{source} would be enlarged into itself: choose another folder")
    else:
        suffix = source.suffix.lower().replace("webm", "mkv") if is_film else ".png"
        file = f"{source.stem}_x{scale}{suffix}"
        target = target or source.with_name(file)
        target = target / file if target.is_dir() else target
    one = upscale_film if is_film else upscale_file
    enlarge, start = upscale_folder if source.is_dir() else one, time.perf_counter()
    pixels = enlarge(source, target, model, options.overwrite, engine=options.engine, **how)
    rate = pixels / 1e6 / (time.perf_counter() - start)
    print(f"wrote {target} ({rate:.1f} megapixels a second)")


def _learning_alone(options: argparse.Namespace, scale: int):
    """Return a network, not trained, and what trains it on an image and enlarges that."""
    if options.source.is_dir():
        told = f"{options.model} learns from one image alone"
        raise ValueError(f"{told}: name a file, not a folder")
    from functools import partial

    from srcnn_tf.models import build
    from srcnn_tf.pairs import Degradation
    from srcnn_tf.pretrained import default_recipe
    from srcnn_tf.upscaling import upscale_alone

    minutes = 2 if options.minutes is None else options.minutes
    degradation = Degradation(blur=options.blur or 0, antialias=options.blur is None)
    recipe = default_recipe(options.model, scale, minutes=minutes, degradation=degradation)
    *before, model = (build(options.model, n, channels=1) for n in range(2, scale + 1))
    return model, partial(upscale_alone, recipe=recipe, before=before if options.gradual else ())


def _add_train(commands) -> None:
    parser = _command(commands, _train)
    add = parser.add_argument
    add("model", choices=tuple(networks()))
    add("--scale", type=int, choices=SCALES, required=True)
    sets = "image sets, or folders of images (default: those of the shipped weights); sets may be "
    sets += "joined by +; copies of test images are refused, unless they were written anew"
    add("--data", nargs="+", metavar="SET", help=sets)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="length in minutes of training (default: 10)")
    length.add_argument("--steps", type=int, help="length in batches")
    add("--out", required=True, type=_path, help="folder for weights, card and checkpoints")
    add("--channels", type=int, choices=(1, 3), help="1: luma, 3: RGB (default: MODEL's own)")
    add("--seed", type=int, default=0, help="of crops and weights (default: 0)")
    start = "bicubic, random, or weights to go on from, named as for `upscale --model` (default: "
    add("--start", help=f"{start}MODEL's own)")
    add("--resume", action="store_true", help="go on with the run in the folder")
    add("--tensorboard", action="store_true", help="log losses and PSNR for TensorBoard, into OUT")


def _train(options: argparse.Namespace) -> None:
    """Train a network and write its weights and a card that says how.

    One training image in ten is held out to validate.
    """
    _check_folder(options.out)
    from srcnn_tf.making import train
    from srcnn_tf.pretrained import default_recipe, stem
    from srcnn_tf.training import load_history

    minutes = 10 if (options.steps, options.minutes) == (None, None) else options.minutes
    recipe = default_recipe(
        options.model, options.scale, steps=options.steps, minutes=minutes, seed=options.seed
    )
    data = networks()[options.model].data
    if options.data:  # a folder may have a + in its name
        words = ([word] if Path(word).is_dir() else word.split("+") for word in options.data)
        data = tuple(name for names in words for name in names)
    try:
        how = options.start, options.resume, options.channels, options.tensorboard
        history = train(options.model, options.scale, data, recipe, options.out, *how)
    except KeyboardInterrupt:
        files = stem(options.model, options.scale)
        if load_history(options.out / f"{files}-run").step:
            print("\nThe last checkpoint is whole: the same command with --resume goes on.")
        raise
    print(
        f"{options.model} ×{options.scale}: validation PSNR {history.psnr[history.best]:.2f} dB at "
        f"step {history.step[history.best]} of {history.step[-1]}, "
        f"{history.seconds[-1] / 60:.1f} minutes; weights, card and figures are in {options.out}"
    )


def _add_benchmark(commands) -> None:
    add = _command(commands, _benchmark).add_argument
    which = "shipped networks and interpolations (default: all), or your own as for `upscale`"
    add("--models", nargs="+", help=which)
    add("--sets", nargs="+", default=["set5", "set14"], help="image sets or folders")
    add("--scales", nargs="+", type=int, choices=SCALES, default=SCALES)
    add("--csv", type=_path, metavar="FILE", help="also write the table as CSV, row by row")
    page = "also write a page with sortable columns and the crops behind each number"
    add("--html", type=_path, metavar="FILE", help=page)
    more = "PSNR and SSIM are measured in any case; beside them ms-ssim, detail (power of what is "
    more += "fine, over the truth's), consistency (PSNR of LR and the result, degraded again)"
    add("--metrics", nargs="+", default=[], metavar="NAME", help=more)
    how = "what makes LR: any of blur=SIGMA (in HR pixels), noise=SIGMA (in grey levels), "
    how += "jpeg_quality=1..100, antialias=false (default: the protocol's bicubic shrinking)"
    add("--degradation", nargs="+", default=[], metavar="NAME=VALUE", help=how)
    add("--overwrite", action="store_true", help="replace FILE if it is there")


def _benchmark(options: argparse.Namespace) -> None:
    """Score networks beside the published figures.

    PSNR and SSIM on luma under the literature's protocol, parameters, multiply-adds per HR pixel
    and milliseconds per HR megapixel, beside the published figures and their sources.
    """
    from srcnn_tf import score_page, score_table
    from srcnn_tf.files import check_place, write_file

    for file in filter(None, (options.csv, options.html)):
        check_place(file, options.overwrite)
    how = _degradation(options.degradation), options.metrics
    rows: list[score_table.Row] = []
    try:
        for row in score_table.run(options.models, options.sets, options.scales, *how):
            rows.append(row)
            if options.csv:  # what is measured is safe, whatever comes
                overwrite = options.overwrite or len(rows) > 1
                write_file(options.csv, score_table.to_csv(rows).encode(), overwrite)
    finally:
        if rows:
            print(score_table.to_text(rows))
    if not rows:
        raise ValueError("there is nothing to show: no set or no weights were found")
    if options.html:
        about = f"×{', ×'.join(map(str, options.scales))} on {', '.join(options.sets)}; "
        about += f"LR by {', '.join(options.degradation) or 'bicubic shrinking'}"
        page = score_page.to_html(rows, about)
        write_file(options.html, page.encode(), options.overwrite)
    for file in filter(None, (options.csv, options.html)):
        print(f"wrote {file}")


def _degradation(words: Sequence[str]):
    """Return the degradation of words like blur=1.6."""
    from srcnn_tf.pairs import Degradation
    from srcnn_tf.ranges import check_choice

    fields = {}
    for word in words:
        name, _, value = word.partition("=")
        check_choice("degradation", name, ("blur", "noise", "jpeg_quality", "antialias"))
        try:
            fields[name] = json.loads(value)
        except ValueError:
            told = f"--degradation {word} has no value that is a number, true or false"
            raise ValueError(f"{told}: write {name}=VALUE") from None
    return Degradation(**fields)


def _add_export(commands) -> None:
    add = _command(commands, _export).add_argument
    add("model", help="a shipped network, or your own as for `upscale --model`")
    add("--scale", type=int, choices=SCALES, help="where MODEL has several")
    add("--to", choices=("onnx", "openvino", "litert", "saved_model"), required=True)
    add("--out", required=True, type=_path, help="folder to write into")
    add("--size", nargs=2, type=int, metavar=("H", "W"), help="of the LR image (default: any)")
    add("--colour", action="store_true", help="RGB in and out, not luma")
    add("--int8", action="store_true", help="weights and feature maps in 8 bits (LiteRT)")
    data = "set or folder of training images that sets the steps of --int8 (default: t91)"
    add("--data", default="t91", help=data)
    add("--overwrite", action="store_true", help="replace files that are there")


def _export(options: argparse.Namespace) -> None:
    """Write a network as a file for another run time.

    Borders are mirrored; the file needs no Keras, and a card lies beside it. It is run at once, and
    written only if it agrees with Keras to 0.01 grey levels; in 8 bits, if it loses a decibel at
    most on training images.
    """
    _check_folder(options.out)
    from srcnn_tf import datasets
    from srcnn_tf.export import FORMATS, export
    from srcnn_tf.pretrained import load_pretrained
    from srcnn_tf.probes import scale_of

    model = load_pretrained(options.model, options.scale)
    options.out.mkdir(parents=True, exist_ok=True)
    photographs = datasets.load_or_samples(options.data, "train")[1] if options.int8 else None
    bits = "-int8" if options.int8 else ""
    name = f"{Path(options.model).stem}-x{scale_of(model)}{bits}{FORMATS[options.to][0]}"
    file = options.out / name
    card = export(model, file, options.size, options.colour, options.overwrite, photographs)
    print(f"wrote {file} and {card.name}")
