/** A column of bars, a row a class; those that can be dragged are sliders. */
import { h, type Child, type Description } from "../dom.ts"
import type { Vector } from "../maths.ts"
import { pretty } from "../numbers.ts"
import { number } from "./parts.ts"

export interface Bars {
  /** What the column is called, for whoever cannot see it. */
  readonly title: string
  readonly values: Vector
  /** The end of the axis, which begins at −limit where values have signs, else at 0. */
  readonly limit: number
  readonly signed: boolean
  readonly tone: "plain" | "probability" | "gradient"
  readonly label: (k: number) => string
  readonly python?: (k: number) => string
  /** What stands under a bar, in small print: how its value came about. */
  readonly how?: (k: number) => string
  /** Where a thin line marks a value of all rows. */
  readonly mark?: number
  readonly figures?: number
  readonly drag?: (k: number, value: number) => void
}

/** The end of an axis that holds these values: 1, 2 or 5 times a power of ten, at least `least`. */
export function limitOf(values: Vector, least: number): number {
  const largest = Math.max(least, ...values.filter(Number.isFinite).map(Math.abs))
  const power = 10 ** Math.floor(Math.log10(largest) + 1e-9)
  return power * [1, 2, 5, 10].find((m) => largest <= m * power * (1 + 1e-9))!
}

export function bars(column: Bars): Description {
  const rows = column.values.map((value, k) =>
    h(
      "div",
      { class: "row" },
      h("span", { class: "name" }, column.label(k)),
      column.drag ? slider(column, k, column.drag) : track(column, k),
      h("span", { class: "value" }, number(value, column.python?.(k), column.figures)),
      column.how && h("span", { class: "how" }, column.how(k)),
    ),
  )
  return h(
    "div",
    { class: `bars ${column.tone}`, role: "group", "aria-label": column.title },
    ...rows,
  )
}

/** The column of softmax's outputs, which the programs call p. */
export const probabilities = (p: Vector, how?: Bars["how"]): Description =>
  bars({
    title: "Probabilities",
    values: p,
    how,
    limit: 1,
    signed: false,
    tone: "probability",
    label: (k) => `p[${k}]`,
    python: (k) => `p[${k}]`,
  })

const percent = (share: number): string => `${(100 * share).toFixed(3)}%`

function shareOf(column: Bars, value: number): number {
  const inside = Math.min(Math.max(value, -column.limit), column.limit)
  return column.signed ? (inside / column.limit + 1) / 2 : Math.max(inside, 0) / column.limit
}

function marks(column: Bars, k: number): Child[] {
  const value = column.values[k]
  return [
    h("i", { class: "zero", style: { left: percent(shareOf(column, 0)) } }),
    bar(column, value, `bar ${value < 0 ? "negative" : "positive"}`),
    column.mark !== undefined &&
      h("i", { class: "mark", style: { left: percent(shareOf(column, column.mark)) } }),
  ]
}

function bar(column: Bars, value: number, name: string): Description {
  const finite = Number.isNaN(value) ? 0 : value
  const [from, to] = [shareOf(column, 0), shareOf(column, finite)].sort((a, b) => a - b)
  return h("i", { class: name, style: { left: percent(from), width: percent(to - from) } })
}

const track = (column: Bars, k: number): Description =>
  h("div", { class: "track" }, ...marks(column, k))

// What a drag began with: its axis, which would grow under the pointer, and the value, to which the
// bar goes back if the touch turns out to be a scroll.
let held: { title: string; limit: number; value: number } | undefined
const release = (): void => (held = undefined)

function slider(drawn: Bars, k: number, drag: (k: number, value: number) => void): Description {
  const column = held?.title === drawn.title ? { ...drawn, limit: held.limit } : drawn
  const [value, limit] = [column.values[k], column.limit]
  const step = limit / 50
  const move = (to: number): void => drag(k, Number((Math.round(to / step) * step).toPrecision(12)))
  const toPointer = (event: PointerEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect()
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1)
    move(column.signed ? (2 * share - 1) * limit : share * limit)
  }
  const keys: Record<string, number> = {
    ArrowRight: value + step,
    ArrowUp: value + step,
    ArrowLeft: value - step,
    ArrowDown: value - step,
    PageUp: value + 10 * step,
    PageDown: value - 10 * step,
    Home: -limit,
    End: limit,
  }
  return h(
    "div",
    {
      class: "track slider",
      role: "slider",
      tabindex: 0,
      "aria-label": column.label(k),
      "aria-valuemin": -limit,
      "aria-valuemax": limit,
      "aria-valuenow": value,
      "aria-valuetext": pretty(value),
      onpointerdown(event: PointerEvent) {
        ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
        held = { title: drawn.title, limit, value }
        toPointer(event)
      },
      onpointermove: (event: PointerEvent) =>
        (event.currentTarget as Element).hasPointerCapture(event.pointerId) && toPointer(event),
      onpointerup: release,
      onpointercancel() {
        if (held) drag(k, held.value)
        release()
      },
      onkeydown(event: KeyboardEvent) {
        if (!(event.key in keys)) return
        event.preventDefault()
        move(keys[event.key])
      },
    },
    ...marks(column, k),
    h("i", { class: "handle", style: { left: percent(shareOf(column, value)) } }),
  )
}
