/**
 * The formulas of the page, each once; no document in sight.
 *
 * Vectors are arrays of K numbers. z are logits, p = softmax(z), t is the index of the target class,
 * g = ∂L/∂p is what arrives at the outputs, and `_bar` ends the name of a gradient. Sums leave out
 * the arg-max, whose logit the row is centred on: confident rows keep their digits, and results
 * agree with the library's to 1e-12.
 */

export type Vector = readonly number[]
export type Matrix = readonly Vector[]

export const sum = (v: Vector): number => v.reduce((total, x) => total + x, 0)
export const dot = (v: Vector, w: Vector): number => v.reduce((total, x, k) => total + x * w[k], 0)
export const norm = (v: Vector): number => Math.hypot(...v)
export const argmax = (v: Vector): number => v.indexOf(Math.max(...v))
export const oneHot = (t: number, K: number): number[] =>
  Array.from({ length: K }, (_, k) => +(k === t))
export const plus = (v: Vector, c: number): number[] => v.map((x) => x + c)

const withoutSign = (x: number): number => x + 0 // −0 becomes 0
const sumOfOthers = (v: Vector, k: number): number =>
  v.reduce((total, x, j) => (j === k ? total : total + x), 0)

// ---------------------------------------------------------------------------------------------
// Softmax and its Jacobian

export function softmax(z: Vector): number[] {
  const m = Math.max(...z)
  const exponentials = z.map((x) => Math.exp(x - m)) // [K]; exactly 1 at the arg-max
  const total = sum(exponentials)
  return exponentials.map((e) => e / total)
}

export function logSumExp(z: Vector): number {
  const k = argmax(z)
  return (
    z[k] +
    Math.log1p(
      sumOfOthers(
        z.map((x) => Math.exp(x - z[k])),
        k,
      ),
    )
  )
}

export function logSoftmax(z: Vector): number[] {
  const k = argmax(z)
  const logTotal = Math.log1p(
    sumOfOthers(
      z.map((x) => Math.exp(x - z[k])),
      k,
    ),
  )
  return z.map((x) => x - z[k] - logTotal)
}

/** Jᵀg = p(g − ⟨p, g⟩), with g measured from its value at the arg-max: a constant changes nothing. */
export function softmaxVjp(p: Vector, g: Vector): number[] {
  const k = argmax(p)
  const w = plus(g, -g[k])
  const mean = dot(p, w)
  return p.map((pj, j) => withoutSign(pj * (w[j] - mean)))
}

/** J = diag(p) − p pᵀ, with 1 − p[i] as the sum of the other outputs. */
export function jacobian(p: Vector): number[][] {
  return p.map((pi, i) => p.map((pj, j) => (i === j ? pi * sumOfOthers(p, i) : -pi * pj)))
}

/** The other derivative that is written down for softmax: that of the sigmoid. */
export const diagonalOnly = (p: Vector, g: Vector): number[] =>
  p.map((pk, k) => withoutSign(pk * sumOfOthers(p, k) * g[k]))

// ---------------------------------------------------------------------------------------------
// Heads: outputs, a loss for the target class t, and the loss's gradient in the logits

export interface Head {
  readonly name: "softmax" | "sigmoid" | "sigmoid-all" | "softmax-squared"
  readonly loss: (t: number) => string
  readonly gradient: (t: number) => string
  readonly at: (z: Vector, t: number) => { p: number[]; loss: number; z_bar: number[] }
}

const sigmoid = (x: number): number =>
  x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))
const minusLogSigmoid = (x: number): number => Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** p − t; at the target it is minus the sum of the others, which loses no digits. */
function errorOf(p: Vector, t: number): number[] {
  return p.map((pk, k) => (k === t ? -sumOfOthers(p, t) : pk))
}

export const HEADS: readonly Head[] = [
  {
    name: "softmax",
    loss: (t) => `−log softmax(z)[${t}]`,
    gradient: () => "p − t",
    at(z, t) {
      const p = softmax(z)
      return { p, loss: withoutSign(-logSoftmax(z)[t]), z_bar: errorOf(p, t) }
    },
  },
  {
    name: "sigmoid",
    loss: (t) => `−log σ(z)[${t}]`,
    gradient: (t) => `p − 1 for class ${t}, 0 for the others`,
    at(z, t) {
      const z_bar = z.map((x, k) => (k === t ? -sigmoid(-x) : 0))
      return { p: z.map(sigmoid), loss: minusLogSigmoid(z[t]), z_bar }
    },
  },
  {
    name: "sigmoid-all",
    loss: () => "Σ of the cells' binary cross-entropies",
    gradient: () => "p − t",
    at(z, t) {
      const loss = sum(z.map((x, k) => minusLogSigmoid(k === t ? x : -x)))
      return {
        p: z.map(sigmoid),
        loss,
        z_bar: z.map((x, k) => (k === t ? -sigmoid(-x) : sigmoid(x))),
      }
    },
  },
  {
    name: "softmax-squared",
    loss: () => "½‖softmax(z) − t‖²",
    gradient: () => "J·(p − t), J that of softmax",
    at(z, t) {
      const p = softmax(z)
      const p_bar = errorOf(p, t)
      return { p, loss: dot(p_bar, p_bar) / 2, z_bar: softmaxVjp(p, p_bar) }
    },
  },
]

// ---------------------------------------------------------------------------------------------
// Objectives of softmax's outputs, and the path along their gradient

export type ObjectiveName = "cross-entropy" | "output" | "sum" | "entropy" | "squared-error"

export interface Objective {
  readonly formula: (k: number) => string
  /** Whether one climbs it, as everything but a loss. */
  readonly ascend: boolean
  readonly at: (z: Vector, k: number) => { value: number; z_bar: number[] }
}

const SOFTMAX_HEAD = HEADS[0]
const SQUARED_HEAD = HEADS[3]

export const OBJECTIVES: Readonly<Record<ObjectiveName, Objective>> = {
  output: {
    formula: (k) => `p[${k}]`,
    ascend: true,
    at(z, k) {
      const p = softmax(z)
      return { value: p[k], z_bar: softmaxVjp(p, oneHot(k, z.length)) }
    },
  },
  "cross-entropy": {
    formula: (k) => `−log p[${k}]`,
    ascend: false,
    at(z, k) {
      const { loss, z_bar } = SOFTMAX_HEAD.at(z, k)
      return { value: loss, z_bar }
    },
  },
  sum: {
    formula: () => "Σ p[k]",
    ascend: true,
    at(z) {
      const p = softmax(z)
      return {
        value: sum(p),
        z_bar: softmaxVjp(
          p,
          p.map(() => 1),
        ),
      }
    },
  },
  entropy: {
    formula: () => "−Σ p[k]·log p[k]",
    ascend: true,
    at(z) {
      const [p, logP] = [softmax(z), logSoftmax(z)]
      return {
        value: withoutSign(-dot(p, logP)),
        z_bar: softmaxVjp(
          p,
          logP.map((x) => -x),
        ),
      }
    },
  },
  "squared-error": {
    formula: (k) => `½‖p − t‖², t = class ${k}`,
    ascend: false,
    at(z, k) {
      const { loss, z_bar } = SQUARED_HEAD.at(z, k)
      return { value: loss, z_bar }
    },
  },
}

export interface Point {
  readonly z: Vector
  readonly p: Vector
  readonly value: number
  readonly z_bar: Vector
  /** The Euclidean norm of z_bar. */
  readonly size: number
}

/** The points before each of `steps` gradient steps of rate `lr`, and after the last. */
export function path(
  name: ObjectiveName,
  k: number,
  start: Vector,
  steps: number,
  lr: number,
): Point[] {
  const objective = OBJECTIVES[name]
  const rate = objective.ascend ? lr : -lr
  const points: Point[] = []
  for (
    let z = start;
    points.length <= steps;
    z = z.map((x, j) => x + rate * points[points.length - 1].z_bar[j])
  ) {
    const { value, z_bar } = objective.at(z, k)
    points.push({ z, p: softmax(z), value, z_bar, size: norm(z_bar) })
  }
  return points
}

// ---------------------------------------------------------------------------------------------
// Three classes in two dimensions; class 0 is lower left, 1 lower right, 2 at the top

export type Place = readonly [x: number, y: number]

const HEIGHT = Math.sqrt(0.75)

/** The place of three probabilities in the triangle of side 1. */
export const inTriangle = (p: Vector): Place => [p[1] + p[2] / 2, HEIGHT * p[2]]

/** Back, with each probability at least `least`. */
export function fromTriangle([x, y]: Place, least: number): number[] {
  const p2 = y / HEIGHT
  const p = [1 - p2 - (x - p2 / 2), x - p2 / 2, p2].map((share) => Math.max(share, least))
  return p.map((share) => share / sum(p))
}

/** The place of three logits in the plane of all with their sum: gradients of softmax stay in it. */
export const inPlane = (z: Vector): Place => [
  (z[1] - z[0]) / Math.SQRT2,
  (2 * z[2] - z[0] - z[1]) / Math.sqrt(6),
]

/** Back, to the logits with the mean that is given. */
export function fromPlane([x, y]: Place, mean: number): number[] {
  const [a, b] = [x / Math.SQRT2, y / Math.sqrt(6)]
  return [mean - a - b, mean + a - b, mean + 2 * b]
}

// ---------------------------------------------------------------------------------------------
// Numbers of fewer digits

export type Format = "float64" | "float32" | "float16" | "bfloat16"

interface Width {
  /** Bits of the significand, the hidden one included. */
  readonly digits: number
  /** The smallest exponent of a normal number, and the largest. */
  readonly lowest: number
  readonly highest: number
}

const WIDTHS: Readonly<Record<Exclude<Format, "float64">, Width>> = {
  float32: { digits: 24, lowest: -126, highest: 127 },
  float16: { digits: 11, lowest: -14, highest: 15 },
  bfloat16: { digits: 8, lowest: -126, highest: 127 },
}

/** The logarithm of the largest number of a format: exp overflows past it. */
export function overflowsAt(format: Format): number {
  if (format === "float64") return Math.log(Number.MAX_VALUE)
  const { digits, highest } = WIDTHS[format]
  return Math.log((2 - 2 ** (1 - digits)) * 2 ** highest)
}

/** Round to the nearest number of a format, ties to even; subnormals and overflow as IEEE has them. */
export function rounded(x: number, format: Format): number {
  if (format === "float64" || x === 0 || !Number.isFinite(x)) return x
  const { digits, lowest, highest } = WIDTHS[format]
  let exponent = Math.floor(Math.log2(Math.abs(x)))
  if (2 ** exponent > Math.abs(x)) exponent -= 1 // log2 rounds
  const spacing = 2 ** (Math.max(exponent, lowest) - digits + 1)
  const steps = x / spacing // exact: a power of two
  const whole = Math.floor(steps)
  const up = steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 !== 0)
  const result = (whole + +up) * spacing
  return Math.abs(result) >= 2 ** (highest + 1) ? Math.sign(x) * Infinity : result
}

export interface InFormat {
  /** What exp was taken of, its results, and their sum. */
  readonly shifted: Vector
  readonly exponentials: Vector
  readonly total: number
  readonly p: Vector
}

/** Softmax as a textbook writes it, every operation rounded to the format. */
export function softmaxIn(z: Vector, format: Format, subtract: boolean): InFormat {
  const r = (x: number): number => rounded(x, format)
  const logits = z.map(r)
  const m = subtract ? Math.max(...logits) : 0
  const shifted = logits.map((x) => r(x - m))
  const exponentials = shifted.map((x) => r(Math.exp(x)))
  const total = exponentials.reduce((s, e) => r(s + e), 0)
  return { shifted, exponentials, total, p: exponentials.map((e) => r(e / total)) }
}

// ---------------------------------------------------------------------------------------------
// Wrong backwards, and how a difference quotient sees them

export type MistakeName =
  | "right"
  | "diagonal-only"
  | "identity"
  | "projection-term"
  | "scale"
  | "sign"
  | "zero"
  | "wrong-variable"
  | "unnamed"

export interface Backward {
  /** The last line, in Python. */
  readonly code: string
  readonly at: (z: Vector, g: Vector) => number[]
}

const half = (p: Vector): number[] => p.map((x) => rounded(x, "float16"))

/** By the name that `softgrad check` gives to the mistake. */
export const BACKWARDS: Readonly<Record<MistakeName, Backward>> = {
  right: { code: "p * (g - p @ g)", at: (z, g) => softmaxVjp(softmax(z), g) },
  "diagonal-only": { code: "p * (1 - p) * g", at: (z, g) => diagonalOnly(softmax(z), g) },
  identity: { code: "g", at: (_, g) => [...g] },
  "projection-term": {
    code: "p * (g - g.sum())",
    at: (z, g) => softmax(z).map((p, k) => p * (g[k] - sum(g))),
  },
  scale: { code: "2 * p * (g - p @ g)", at: (z, g) => softmaxVjp(softmax(z), g).map((x) => 2 * x) },
  sign: {
    code: "p * (p @ g - g)",
    at: (z, g) => softmaxVjp(softmax(z), g).map((x) => withoutSign(-x)),
  },
  zero: { code: "np.zeros_like(z)", at: (z) => z.map(() => 0) },
  "wrong-variable": {
    code: "z * (g - z @ g)",
    at: (z, g) => z.map((x, k) => withoutSign(x * (g[k] - dot(z, g)))),
  },
  unnamed: {
    code: "h * (g - h @ g)",
    at(z, g) {
      const h = half(softmax(z))
      return h.map((x, k) => withoutSign(x * (g[k] - dot(h, g))))
    },
  },
}

/** A backward as a matrix: row i is its answer to g = e[i], and should be row i of J. */
export function matrixOf(name: MistakeName, z: Vector): number[][] {
  return z.map((_, i) => BACKWARDS[name].at(z, oneHot(i, z.length)))
}

/** Where every difference quotient of the page moves z, and what weighs the outputs. */
export const DIRECTION: Vector = [0.58, -0.81, 0.37, 0.92, -0.44, 0.66, -0.29, 0.73]
export const COTANGENT: Vector = [1, -0.5, 0.25, -0.75, 0.6, -0.35, 0.85, -0.15]

/** (f(z + h·u) − f(z − h·u)) / 2h of f = ⟨g, softmax(·)⟩, with f computed in a format. */
export function quotient(z: Vector, h: number, format: Format): number {
  const r = (x: number): number => rounded(x, format)
  const f = (step: number): number => {
    const moved = z.map((x, k) => r(x + step * DIRECTION[k]))
    return softmaxIn(moved, format, true).p.reduce(
      (total, p, k) => r(total + r(p * r(COTANGENT[k]))),
      0,
    )
  }
  return (f(h) - f(-h)) / (2 * h)
}

/** The slope along the direction, as a backward has it. */
export function slope(name: MistakeName, z: Vector): number {
  return dot(BACKWARDS[name].at(z, COTANGENT.slice(0, z.length)), DIRECTION)
}

/** Steps of the quotients: 2⁻¹, 2⁻², …. */
export const STEPS: Vector = Array.from({ length: 48 }, (_, j) => 2 ** -(j + 1))

/** |backward − quotient| relative to the true slope, for every step. */
export function errorCurve(name: MistakeName, z: Vector, format: Format): number[] {
  const [claimed, truth] = [slope(name, z), slope("right", z)]
  return STEPS.map((h) => Math.abs(claimed - quotient(z, h, format)) / Math.abs(truth))
}
