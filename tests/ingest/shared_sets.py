"""Archives of the shared data sets, unpacked in memory."""

import io
import tarfile

import zstandard


def unpacked(path):
    """Return the files of a ``.tar.zst`` by name."""
    with path.open("rb") as file:
        data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
