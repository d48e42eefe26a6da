"""Many small cells as one picture: 4096 of them take 5 kB as a PNG and 250 kB as rectangles."""

from __future__ import annotations

import base64
import struct
import zlib

from markupsafe import Markup

from softgrad.report.colours import RGB
from softgrad.report.svg import tag

__all__ = ["encode", "image"]

# Viewers that smooth an enlarged picture blur the outer eighths of a cell at most.
_PIXELS_PER_CELL = 8


def encode(colours: RGB) -> bytes:
    """Return the PNG file of one pixel a colour, `colours` [H, W, 3]."""
    height, width, _ = colours.shape
    # Each line begins with its filter: 0, none.
    lines = b"".join(b"\0" + line.tobytes() for line in colours)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def image(colours: RGB, x: float, y: float, width: float, height: float) -> Markup:
    """Return cells [H, W, 3] as an <image> of the given size."""
    pixels = colours.repeat(_PIXELS_PER_CELL, axis=0).repeat(_PIXELS_PER_CELL, axis=1)
    return tag(
        "image",
        href="data:image/png;base64," + base64.b64encode(encode(pixels)).decode(),
        x=x,
        y=y,
        width=width,
        height=height,
        preserveAspectRatio="none",
        image_rendering="pixelated",
    )
