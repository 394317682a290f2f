"""Images become the arrays that their pixels define, whatever form the file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.budget import within
from nnef_tools.errors import FileError, FormatError, LimitError, UsageError
from nnef_tools.execution.executor import TensorInfo
from nnef_tools.execution.feeds.images import ImageOptions, ImageWarning, image_files, load_images

Image: Any = pytest.importorskip("PIL.Image", reason="images need Pillow")

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def loaded(path: Path, **options: Any) -> np.ndarray[Any, Any]:
    return load_images([path], ImageOptions(**options))


def saved(path: Path, pixels: np.ndarray[Any, Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_colors_layout_and_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", PIXELS)
    unit = PIXELS.astype(np.float64) / 255
    np.testing.assert_allclose(loaded(path)[0], unit.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(loaded(path, layout="NHWC", color="BGR")[0], unit[:, :, ::-1], atol=1e-6)
    mean, std = (0.1, 0.2, 0.3), (2.0, 4.0, 8.0)
    expected = (unit * 2 - 1 - mean) / std
    found = loaded(path, layout="NHWC", range=(-1, 1), mean=mean, std=std)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_integers_keep_their_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", PIXELS)
    np.testing.assert_array_equal(loaded(path, layout="NHWC", dtype=np.uint8)[0], PIXELS)
    found = loaded(path, layout="NHWC", dtype=np.int8, range=(-128, 127))
    np.testing.assert_array_equal(found[0], PIXELS.astype(np.int64) - 128)
    with pytest.raises(UsageError, match="int8 does not hold"):
        loaded(path, dtype=np.int8)
    with pytest.raises(UsageError, match="uint8 holds 0 to 255"):
        loaded(path, dtype=np.uint8, range=(-50, 255))


def test_gray_transparency_and_palettes(tmp_path: Path) -> None:
    gray = saved(tmp_path / "g.png", PIXELS[:, :, 0])
    np.testing.assert_allclose(loaded(gray)[0], np.broadcast_to(PIXELS[:, :, 0] / 255, (3, 4, 6)), atol=1e-6)
    alpha = saved(tmp_path / "a.png", np.concatenate([PIXELS, PIXELS[:, :, :1]], axis=2))
    np.testing.assert_allclose(loaded(alpha, layout="NHWC")[0], PIXELS / 255, atol=1e-6)
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=0)
    found = loaded(tmp_path / "p.png", layout="NHWC", dtype=np.uint8)
    np.testing.assert_array_equal(found[0, 0], [[10, 20, 30], [40, 50, 60]])


def test_sixteen_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1, 256, 65535]], np.uint16)
    path = saved(tmp_path / "a.png", values)
    np.testing.assert_allclose(loaded(path)[0], np.broadcast_to(values / 65535, (3, 1, 4)), atol=1e-7)


def test_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the first row is the right side
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path, exif=exif)
    found = loaded(path, layout="NHWC", dtype=np.uint8)
    np.testing.assert_array_equal(found[0], np.rot90(PIXELS, -1))


def test_resizing_keeps_what_is_linear(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)
    path = saved(tmp_path / "a.png", ramp)
    found = loaded(path, layout="NHWC", size=(4, 8))[0]
    assert found.shape == (4, 8, 3)
    pairs = ramp[0, :, 0].reshape(8, 2).mean(axis=1) / 255
    np.testing.assert_allclose(found[1, 1:-1, 0], pairs[1:-1], atol=0.01)


def test_images_of_several_sizes(tmp_path: Path) -> None:
    saved(tmp_path / "b.png", PIXELS)
    saved(tmp_path / "a.png", PIXELS[:3])
    files = image_files([str(tmp_path / "*.png")])
    assert [file.name for file in files] == ["a.png", "b.png"]
    with pytest.raises(UsageError, match=r"3 x 6 pixels.* 4 x 6") as found:
        load_images(files, ImageOptions())
    assert found.value.hint is not None and "--size" in found.value.hint
    assert load_images(files, ImageOptions(size=(2, 2))).shape == (2, 3, 2, 2)


def test_options_for_the_input_of_a_model() -> None:
    def options(*shape: int | None, **given: Any) -> ImageOptions:
        return ImageOptions(**given).for_input(TensorInfo("x", np.float32, shape))

    assert (options(1, 3, 8, 9).layout, options(1, 3, 8, 9).size) == ("NCHW", (8, 9))
    assert (options(None, 8, 9, 3).layout, options(None, 8, 9, 3).size) == ("NHWC", (8, 9))
    assert options(1, 8, 9, 1).gray
    assert options(1, 3, None, None).size is None
    with pytest.raises(UsageError, match="no image has"):
        options(1, 10)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no file has a name like this"):
        image_files([str(tmp_path / "*.jpg")])
    with pytest.raises(FileError, match="no such file"):
        image_files([str(tmp_path / "a.jpg")])
    (tmp_path / "text.png").write_text("no image", "utf-8")
    with pytest.raises(FormatError, match="not an image"):
        loaded(tmp_path / "text.png")
    whole = saved(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8) + PIXELS[:1, :1]).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="not an image"):
        loaded(tmp_path / "cut.png")
    with within({"items": 100}), pytest.raises(LimitError):
        loaded(tmp_path / "a.png")
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(ImageWarning, match="2 frames"):
        loaded(tmp_path / "two.gif")


@pytest.mark.parametrize(
    "wrong", [{"std": (0.0,)}, {"mean": (1.0, 2.0)}, {"size": (0, 1)}, {"range": (0.0, float("inf"))}]
)
def test_impossible_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ImageOptions(**wrong)
