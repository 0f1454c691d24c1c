"""Images one after the other in a row: in memory if it is short, else in a file without a name."""

import tempfile

import numpy as np
import tensorflow as tf

IN_MEMORY = 2**28  # bytes; of a file too, the system keeps in memory what there is room for


class PixelRow:
    """The numbers of many images, appended one by one.

    What exceeds `IN_MEMORY` lies in the folder for temporary files (TMPDIR names another), in a
    file that is gone when the process ends, however it ends.

    Args:
        dtype: of the numbers.
    """

    def __init__(self, dtype: type = np.uint8):
        self._file, self._dtype = tempfile.SpooledTemporaryFile(IN_MEMORY), dtype  # noqa: SIM115
        self.shapes: list[tuple[int, ...]] = []

    def append(self, image: np.ndarray) -> None:
        """Append an image `[h, w, c]`.

        Raises:
            OSError: the disk is full.
        """
        try:
            self._file.write(image.astype(self._dtype, copy=False).tobytes())
            self._file.flush()
        except OSError as error:
            told = f"{tempfile.gettempdir()} ({error.strerror}) must hold the images to train on"
            raise OSError(error.errno, f"{told}: TMPDIR names another folder") from error
        self.shapes.append(image.shape)

    def numbers(self) -> np.ndarray:
        """Return the row `[n]`; a `np.memmap` if it lies in a file. Append nothing after that."""
        if self._file.tell() > IN_MEMORY:
            return np.memmap(self._file, self._dtype, "r+")
        self._file.seek(0)
        return np.frombuffer(self._file.read(), self._dtype)

    def images(self) -> list[np.ndarray]:
        """Return the images as they were; what lies in a file is read where it is looked at."""
        ends = np.cumsum([np.prod(shape) for shape in self.shapes])
        parts = np.split(self.numbers(), ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def tensor(self) -> tf.Tensor:
        """Return the row as pixels `[n, c]`, c being that of every image; a file is not copied."""
        pixels = self.numbers().reshape(-1, self.shapes[0][-1])
        if isinstance(pixels, np.memmap):
            return tf.experimental.dlpack.from_dlpack(pixels.__dlpack__())
        return tf.constant(pixels)
