"""Colours: zero is the middle, signs are apart, and everything written can be read."""

from __future__ import annotations

import base64
import re
import struct
import zlib

import numpy as np
import pytest

from softgrad.report import png
from softgrad.report.colours import INK, PALETTE, contrast, diverging, hexadecimal, sequential


def rgb(code: str) -> np.ndarray:
    code = code[1:] if len(code) == 7 else "".join(2 * c for c in code[1:])
    return np.array(list(bytes.fromhex(code)), np.uint8)


def test_exact_zero_alone_is_the_middle_colour():
    middle = diverging(0.0, 1.0)
    assert np.ptp(middle.astype(int)) <= 2  # no hue
    assert (diverging(-0.0, 1.0) == middle).all()
    assert not (diverging([0.02, -0.02], 1.0) == middle).all(axis=-1).any()


def test_negative_is_blue_and_positive_is_orange():
    shares = np.linspace(0.05, 1, 20)
    below, above = diverging(-shares, 1.0).astype(int), diverging(shares, 1.0).astype(int)
    assert (below[:, 2] > below[:, 0]).all()
    assert (above[:, 0] > above[:, 2]).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_larger_is_darker_and_the_limit_is_the_end(sign):
    colours = diverging(sign * np.linspace(0, 1, 30), 1.0)
    white = np.full(3, 255, np.uint8)
    assert (np.diff([contrast(colour, white) for colour in colours]) > 0).all()
    assert (diverging(sign * 5.0, 1.0) == colours[-1]).all()


def test_colours_depend_on_the_share_of_the_limit_alone():
    values = np.random.default_rng(0).normal(size=50)
    assert (diverging(values * 1e-200, 2e-200) == diverging(values, 2.0)).all()


def test_what_is_not_finite_is_grey():
    grey = diverging([np.nan, np.inf, -np.inf], 1.0)
    assert (grey == grey[0, 0]).all()
    assert not (diverging(np.linspace(-1, 1, 101), 1.0) == grey[0]).all(axis=-1).any()


def test_one_ink_is_readable_on_every_cell():
    cells = [*diverging(np.linspace(-1, 1, 201), 1.0), diverging(np.nan, 1.0)]
    cells += [*sequential(np.linspace(0, 1, 50)), *sequential(np.linspace(0, 1, 50), warm=True)]
    assert min(contrast(cell, rgb(INK)) for cell in cells) >= 4.5


@pytest.mark.parametrize("colour", PALETTE)
@pytest.mark.parametrize("paper", ["#ffffff", "#14171b"])
def test_lines_stand_out_on_light_and_dark_pages(colour, paper):
    assert contrast(rgb(colour), rgb(paper)) >= 3


def test_contrast_is_that_of_the_standard():
    black, white = rgb("#000"), rgb("#fff")
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(rgb("#767676"), white) == pytest.approx(4.54, abs=0.005)


def test_hexadecimal_reads_back():
    colours = np.random.default_rng(0).integers(0, 256, (20, 3)).astype(np.uint8)
    assert all((rgb(hexadecimal(colour)) == colour).all() for colour in colours)


def decode(data: bytes) -> np.ndarray:
    """Read a PNG of 8-bit RGB without filters, with every checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(body),)
        chunks[body[:4]] = body[4:]
        at += 12 + length
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:].reshape(height, width, 3)


def test_a_picture_holds_each_cell_colour_in_its_place():
    colours = np.random.default_rng(3).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert (decode(png.encode(colours)) == colours).all()
    (data,) = re.findall(r"base64,([^\"]+)", png.image(colours, 0, 0, 70, 50))
    large = decode(base64.b64decode(data))
    scale = large.shape[0] // 5
    assert large.shape == (5 * scale, 7 * scale, 3)
    assert (large[scale // 2 :: scale, scale // 2 :: scale] == colours).all()
