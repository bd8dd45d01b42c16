#!/usr/bin/env python3
"""Draws the kernel's logo, a manta ray (Mobula) seen from above: one SVG, and PNGs of it in the sizes Jupyter asks for.

Run it in this folder after changing a shape. Needs nothing but Python. The PNGs are drawn from the same shapes as the SVG.
"""

import struct
import zlib

SIZE = 64  # of the coordinates below
SAMPLES = 8  # per pixel, in each direction

# Each shape: a colour and a closed path of cubic curves, for the right half; the left one is its mirror image.
WATER = ((23, 54, 93), 32)  # a disc of this radius
RAY = (
    (226, 232, 240),
    [
        (32, 15),
        [(33.5, 15), (34.5, 14.5), (35.5, 13.5)],
        [(36.2, 12), (36.4, 9.5), (37.6, 8.4)],
        [(38.8, 9.6), (39.6, 12.6), (40.4, 15.4)],
        [(46, 17.5), (54, 22), (60, 33.5)],
        [(53.5, 31), (47.5, 31.5), (43, 35)],
        [(39.5, 37.8), (36.5, 41.5), (34.2, 43.6)],
        [(33.4, 45), (33.2, 50), (32.4, 58)],
        [(32.2, 58.4), (32, 58.4), (32, 58.4)],
    ],
)
BACK = (
    (206, 94, 34),
    [
        (32, 20),
        [(36, 20), (41, 22), (46, 26.5)],
        [(41, 27), (37, 31), (32, 37)],
    ],
)


def mirrored(path):
    """The whole outline: the right half, then the left one backwards."""
    start, *curves = path
    points = [start] + [point for curve in curves for point in curve]
    left = [(SIZE - x, y) for x, y in reversed(points)]
    whole = points + left[1:]
    return whole[0], [whole[i : i + 3] for i in range(1, len(whole), 3)]


def polygon(path, steps=24):
    start, curves = mirrored(path)
    points, at = [start], start
    for b, c, d in curves:
        for step in range(1, steps + 1):
            t = step / steps
            u = 1 - t
            points.append(
                tuple(u**3 * at[i] + 3 * u * u * t * b[i] + 3 * u * t * t * c[i] + t**3 * d[i] for i in (0, 1))
            )
        at = d
    return points


def crossings(points, y):
    found = []
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):
        if (y0 <= y) != (y1 <= y):
            found.append(x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    found.sort()
    return list(zip(found[::2], found[1::2]))


def spans(y):
    """What is drawn at height y, bottom layer first: (colour, from x, to x)."""
    colour, radius = WATER
    half = radius * radius - (y - SIZE / 2) ** 2
    if half > 0:
        yield colour, SIZE / 2 - half**0.5, SIZE / 2 + half**0.5
    for colour, path in (RAY, BACK):
        for left, right in crossings(OUTLINES[id(path)], y):
            yield colour, left, right


OUTLINES = {id(path): polygon(path) for _, path in (RAY, BACK)}


def png(size):
    rows = []
    fine = size * SAMPLES
    for row in range(size):
        sums = [[0, 0, 0, 0] for _ in range(size)]
        for sub in range(SAMPLES):
            line = [None] * fine
            for colour, left, right in spans((row + (sub + 0.5) / SAMPLES) * SIZE / size):
                first = max(0, round(left * fine / SIZE))
                last = min(fine, round(right * fine / SIZE))
                line[first:last] = [colour] * (last - first)
            for x, colour in enumerate(line):
                if colour:
                    pixel = sums[x // SAMPLES]
                    for i in range(3):
                        pixel[i] += colour[i]
                    pixel[3] += 1
        out = bytearray(b"\0")
        for r, g, b, n in sums:
            out += bytes((r // n, g // n, b // n, n * 255 // SAMPLES**2) if n else (0, 0, 0, 0))
        rows.append(bytes(out))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows), 9)) + chunk(b"IEND", b"")


def svg():
    def d(path):
        start, curves = mirrored(path)
        text = "M{:g} {:g}".format(*start)
        for curve in curves:
            text += "C" + " ".join("{:g} {:g}".format(*point) for point in curve)
        return text + "Z"

    def rgb(colour):
        return "#{:02x}{:02x}{:02x}".format(*colour)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}">']
    lines.append(f'<circle cx="{SIZE // 2}" cy="{SIZE // 2}" r="{WATER[1]}" fill="{rgb(WATER[0])}"/>')
    for colour, path in (RAY, BACK):
        lines.append(f'<path fill="{rgb(colour)}" d="{d(path)}"/>')
    return "\n".join(lines + ["</svg>", ""])


if __name__ == "__main__":
    with open("logo-svg.svg", "w") as out:
        out.write(svg())
    for size in (32, 64):
        with open(f"logo-{size}x{size}.png", "wb") as out:
            out.write(png(size))
