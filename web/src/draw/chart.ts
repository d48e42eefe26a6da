/** Lines over an axis; a logarithmic axis has powers of ten. */
import { h, type Description } from "../dom.ts"
import { pretty } from "../numbers.ts"

export interface Axis {
  readonly label: string
  readonly low: number
  readonly high: number
  readonly log?: boolean
}

export interface Line {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly colour: string
  readonly dashed?: boolean
}

export interface Chart {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly Line[]
  readonly width: number
  /** Points that are marked. */
  readonly dots?: readonly { readonly x: number; readonly y: number; readonly colour: string }[]
}

const HEIGHT = 230
const MARGIN = { left: 52, right: 14, top: 10, bottom: 42 }

export function chart({ title, x, y, lines, width, dots = [] }: Chart): Description {
  const right = width - MARGIN.right
  const bottom = HEIGHT - MARGIN.bottom
  const toX = scale(x, MARGIN.left, right)
  const toY = scale(y, bottom, MARGIN.top)
  const grid = [
    ...ticks(y).map((at) =>
      h(
        "g",
        {},
        h("line", { class: "grid", x1: MARGIN.left, x2: right, y1: toY(at), y2: toY(at) }),
        h(
          "text",
          { x: MARGIN.left - 8, y: toY(at), dy: "0.35em", "text-anchor": "end" },
          label(at, y),
        ),
      ),
    ),
    ...ticks(x).map((at) =>
      h(
        "g",
        {},
        h("line", { class: "grid", x1: toX(at), x2: toX(at), y1: MARGIN.top, y2: bottom }),
        h("text", { x: toX(at), y: bottom + 16, "text-anchor": "middle" }, label(at, x)),
      ),
    ),
    h(
      "text",
      { class: "quiet", x: (MARGIN.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
      x.label,
    ),
  ]
  const drawn = lines.map((line) =>
    h("path", {
      class: "line",
      d: through(line.points.map(([a, b]) => [toX(a), toY(b)])),
      stroke: line.colour,
      "stroke-dasharray": line.dashed ? "5 4" : undefined,
    }),
  )
  const marked = dots.map((dot) =>
    h("circle", { cx: toX(dot.x), cy: toY(dot.y), r: 4.5, fill: dot.colour, class: "dot" }),
  )
  const legend = lines.map((line) =>
    h(
      "li",
      {},
      h(
        "svg",
        { width: 22, height: 10, "aria-hidden": "true" },
        h("path", {
          class: "line",
          d: "M1 5H21",
          stroke: line.colour,
          "stroke-dasharray": line.dashed ? "5 4" : undefined,
        }),
      ),
      line.name,
    ),
  )
  return h(
    "div",
    { class: "chart" },
    h(
      "svg",
      {
        role: "img",
        "aria-label": title,
        viewBox: `0 0 ${width} ${HEIGHT}`,
        width,
        height: HEIGHT,
      },
      ...grid,
      ...drawn,
      ...marked,
    ),
    h("ul", { class: "legend" }, ...legend),
  )
}

function scale(axis: Axis, start: number, end: number): (value: number) => number {
  const straight = axis.log
    ? (value: number) => Math.log10(Math.max(value, 1e-300))
    : (value: number) => value
  return (value) => {
    const share =
      (straight(value) - straight(axis.low)) / (straight(axis.high) - straight(axis.low))
    return Math.round(10 * (start + Math.min(Math.max(share, 0), 1) * (end - start))) / 10
  }
}

function ticks({ low, high, log }: Axis): number[] {
  if (log) {
    const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)]
    const step = Math.max(1, Math.ceil((last - first) / 6))
    return Array.from(
      { length: Math.floor((last - first) / step) + 1 },
      (_, k) => 10 ** (last - k * step),
    )
  }
  const rough = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * [1, 2, 5, 10].find((m) => rough <= 1.1 * m * power)!
  const first = Math.ceil(low / step - 1e-9)
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) =>
    Number(((first + k) * step).toPrecision(12)),
  )
}

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹"

function label(value: number, axis: Axis): string {
  if (!axis.log) return pretty(value)
  const exponent = Math.round(Math.log10(value))
  if (exponent === 0) return "1"
  return (
    "10" + [...String(exponent)].map((c) => (c === "-" ? "⁻" : SUPERSCRIPT[Number(c)])).join("")
  )
}

export function through(points: readonly (readonly [number, number])[]): string {
  return points.map(([a, b], k) => `${k ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("")
}
