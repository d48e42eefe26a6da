/** The page's formulas against numbers that Python wrote: `python tests/explorer_golden.py`. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import * as maths from "../build/maths.js"
import { diverging, PALETTE } from "../build/colours.js"
import { pretty } from "../build/numbers.js"

const golden = JSON.parse(
  readFileSync(new URL("../golden.json", import.meta.url), "utf8"),
  (_, value) =>
    ["nan", "inf", "-inf"].includes(value) ? Number(value.replace("inf", "Infinity")) : value,
)

/** Each number to 1e-12 of itself, and to rounding of the largest beside it, or of `scale`. */
function assertClose(got, expected, words, scale) {
  assert.equal(got.length, expected.length, words)
  const largest = Math.max(...expected.filter(Number.isFinite).map(Math.abs), scale)
  expected.forEach((value, k) => {
    if (!Number.isFinite(value))
      return assert.ok(Object.is(got[k], value), `${words} [${k}]: ${got[k]}, ${value}`)
    const off = Math.abs(got[k] - value)
    assert.ok(
      off <= 1e-12 * Math.abs(value) + 1e-15 * largest,
      `${words} [${k}]: ${got[k]}, ${value}`,
    )
  })
}

const close = (got, expected, words, scale = 0) =>
  assertClose([got].flat(2), [expected].flat(2), words, scale)

test("softmax, its logarithm and its Jacobian", () => {
  for (const { z, p, log_p, logsumexp, jacobian } of golden.softmax) {
    close(maths.softmax(z), p, `softmax ${z}`)
    close(maths.logSoftmax(z), log_p, `log_softmax ${z}`)
    close(maths.logSumExp(z), logsumexp, `logsumexp ${z}`)
    close(maths.jacobian(maths.softmax(z)), jacobian, `jacobian ${z}`)
  }
})

test("what passes through a hidden softmax", () => {
  for (const { z, g, z_bar, diagonal_only } of golden.vjp) {
    const p = maths.softmax(z)
    close(maths.softmaxVjp(p, g), z_bar, `vjp ${z} ${g}`)
    close(maths.diagonalOnly(p, g), diagonal_only, `diagonal ${z} ${g}`)
    const exact = g.map((x) => Math.round(8 * x))
    assert.deepEqual(
      maths.softmaxVjp(p, maths.plus(exact, 64)),
      maths.softmaxVjp(p, exact),
      "a constant in g",
    )
  }
})

test("heads", () => {
  for (const { head, z, t, p, loss, z_bar } of golden.heads) {
    const found = maths.HEADS.find(({ name }) => name === head).at(z, t)
    close(found.p, p, `${head} ${z}`)
    close(found.loss, loss, `${head}'s loss ${z} ${t}`)
    close(found.z_bar, z_bar, `${head}'s gradient ${z} ${t}`)
  }
})

test("paths", () => {
  for (const { objective, k, start, lr, steps, z, p, value, size } of golden.paths) {
    const points = maths.path(objective, k, start, steps, lr)
    for (const [i, at] of [
      [0, 0],
      [1, Math.floor(steps / 2)],
      [2, steps],
    ]) {
      close(points[at].z, z[i], `${objective} z at ${at}`)
      close(points[at].p, p[i], `${objective} p at ${at}`)
      close(points[at].value, value[i], `${objective} at ${at}`)
      close(points[at].size, size[i], `${objective}'s gradient at ${at}`)
    }
  }
})

test("places in the triangle and in the plane lead back", () => {
  for (const { z } of golden.softmax.filter(
    ({ z }) => z.length === 3 && Math.max(...z) - Math.min(...z) < 15,
  )) {
    const p = maths.softmax(z)
    close(maths.fromTriangle(maths.inTriangle(p), 0), p, `triangle ${p}`)
    close(maths.fromPlane(maths.inPlane(z), maths.sum(z) / 3), z, `plane ${z}`)
  }
})

test("rounding to a format", () => {
  for (const { x, format, y } of golden.rounded)
    assert.ok(
      Object.is(maths.rounded(x, format), y),
      `${format} ${x}: ${maths.rounded(x, format)}, ${y}`,
    )
})

test("softmax with every operation rounded", () => {
  for (const { z, format, subtract, exponentials, total, p } of golden.formats) {
    const found = maths.softmaxIn(z, format, subtract)
    close(found.exponentials, exponentials, `${format} exp ${z}`)
    close(found.total, total, `${format} sum ${z}`)
    close(found.p, p, `${format} p ${z}`)
  }
})

test("backwards, right and wrong", () => {
  for (const { name, z, matrix, slope } of golden.backwards) {
    // Written as on the page, the formulas lose what is small beside 1.
    close(maths.matrixOf(name, z), matrix, `${name} ${z}`, 1)
    close(maths.slope(name, z), slope, `${name}'s slope ${z}`, 1)
  }
})

test("difference quotients, but for what rounding over a small step leaves open", () => {
  const spacing = { float64: 2 ** -52, float32: 2 ** -23 }
  for (const { z, h, format, value } of golden.quotients) {
    const off = Math.abs(maths.quotient(z, h, format) - value)
    assert.ok(
      off <= 1e-12 * Math.abs(value) + (4 * spacing[format]) / h,
      `${format} ${z} ${h}: ${off}`,
    )
  }
})

test("numbers are written as Python writes them", () => {
  for (const { value, figures, text } of golden.pretty) assert.equal(pretty(value, figures), text)
})

test("colours are those of the report", () => {
  assert.deepEqual(PALETTE, golden.palette)
  for (const { value, limit, colour } of golden.colours)
    assert.equal(diverging(value, limit), colour)
})
