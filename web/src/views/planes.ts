/** The triangle of probabilities and the plane of logits, with one path in both. */
import { field } from "../draw/field.ts"
import { figure } from "../draw/parts.ts"
import { h, type Child, type Description } from "../dom.ts"
import {
  fromPlane,
  fromTriangle,
  inPlane,
  inTriangle,
  norm,
  OBJECTIVES,
  softmaxVjp,
  sum,
  type Place,
  type Point,
  type Vector,
} from "../maths.ts"
import { pretty, tuple } from "../numbers.ts"
import type { State } from "../state.ts"
import type { Page } from "./view.ts"

/** The triangle has three corners: classes 0 and 1, and the target; class 2 where it is one of them. */
export function three(state: State): { classes: readonly number[]; z: Vector; t: number } {
  const classes = [0, 1, Math.max(state.t, 2)].filter((k) => k < state.z.length)
  return { classes, z: classes.map((k) => state.z[k]), t: classes.indexOf(state.t) }
}

/** The direction of a step at z. */
function direction(state: State, z: Vector): number[] {
  const { ascend, at } = OBJECTIVES[state.objective]
  return at(z, three(state).t).z_bar.map((x) => (ascend ? x : -x))
}

const SIDE = 300
const MARGIN = 42
const TALL = SIDE * Math.sqrt(0.75)
const WIDTH = SIDE + 2 * MARGIN
const LEAST = 1e-4

export function triangle(state: State, points: readonly Point[], { set }: Page): Description {
  const toPixels = ([x, y]: Place): Place => [MARGIN + SIDE * x, MARGIN + TALL - SIDE * y]
  const fromPixels = ([a, b]: Place): Place => [(a - MARGIN) / SIDE, (MARGIN + TALL - b) / SIDE]
  const n = 11
  const inside = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n - i }, (_, j) => [i, j, n - 1 - i - j]),
  ).flat()
  const arrows = inside.map((counts) => {
    const p = counts.map((c) => (c + 0.35) / (n - 1 + 1.05))
    return {
      at: inTriangle(p),
      along: inTriangle(softmaxVjp(p, direction(state, p.map(Math.log)))),
    }
  })
  const [low, right, top] = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ].map((p) => toPixels(inTriangle(p)))
  const name = (place: number): string => `p[${three(state).classes[place]}] = 1`
  const ground = [
    h("path", { class: "side", d: `M${low}L${right}L${top}Z` }),
    corner(name(0), low[0], low[1] + 20),
    corner(name(1), right[0], right[1] + 20),
    corner(name(2), top[0], top[1] - 14),
  ]
  const p = points[0].p
  return figure(
    "Probabilities",
    "Each corner is one class, certain.",
    field({
      title: "Probabilities",
      ground,
      width: WIDTH,
      height: TALL + 2 * MARGIN - 4,
      toPixels,
      fromPixels,
      arrows,
      path: points.map((point) => inTriangle(point.p)),
      start: {
        text: `p = ${tuple(p, 3)}`,
        step: 0.02,
        move: (place) => set({ z: moved(state, fromTriangle(place, LEAST).map(Math.log)) }),
      },
    }),
  )
}

/** From the middle to the edge: 4, 8, 16, … as far as the path goes. */
function radiusOf(places: readonly Place[]): number {
  const far = Math.max(...places.flat().map(Math.abs))
  return 4 * Math.max(1, 2 ** Math.ceil(Math.log2((1.1 * far) / 4)))
}

// The radius that a drag began with: else it would grow under the pointer.
let held: number | undefined

export function plane(state: State, points: readonly Point[], { set }: Page): Description {
  const places = points.map((point) => inPlane(point.z))
  const radius = held ?? radiusOf(places)
  const [size, height] = [WIDTH, TALL + 2 * MARGIN - 4]
  const unit = size / 2 / radius
  const toPixels = ([x, y]: Place): Place => [size / 2 + unit * x, height / 2 - unit * y]
  const fromPixels = ([a, b]: Place): Place => [(a - size / 2) / unit, (height / 2 - b) / unit]
  const mean = sum(three(state).z) / 3
  const along = (at: Place): Place => inPlane(direction(state, fromPlane(at, mean)))
  const count = [-4, -3, -2, -1, 0, 1, 2, 3, 4]
  const arrows = count
    .flatMap((i) => count.slice(1, -1).map((j): Place => [(i * radius) / 4.6, (j * radius) / 4.6]))
    .map((at) => ({ at, along: along(at) }))
  const [x, y] = [size / 2, height / 2]
  const rays = [
    [1, 1, 0],
    [1, 0, 1],
    [0, 1, 1],
  ].map((z) => {
    const [a, b] = inPlane(z)
    const length = size / norm([a, b])
    return h("path", { class: "ray", d: `M${x} ${y}l${a * length} ${-b * length}` })
  })
  const name = (place: number): string => `z[${three(state).classes[place]}] largest`
  const ground: Child[] = [
    h("rect", { class: "side", x: 0.5, y: 0.5, width: size - 1, height: height - 1, rx: 6 }),
    ...rays,
    corner(name(0), 52, height - 14),
    corner(name(1), size - 52, height - 14),
    corner(name(2), size / 2, 20),
  ]
  return figure(
    "Logits",
    `Seen along (1, 1, 1): no step goes that way. From the middle to the edge: ${pretty(radius)}.`,
    field({
      title: "Logits",
      ground,
      width: size,
      height,
      toPixels,
      fromPixels,
      arrows,
      path: places,
      start: {
        text: `z = ${tuple(three(state).z, 3)}`,
        step: radius / 50,
        move: (place) => set({ z: moved(state, fromPlane(place, mean)) }),
        hold: (on) => (held = on ? radius : undefined),
      },
    }),
  )
}

const corner = (text: string, x: number, y: number): Description =>
  h("text", { x, y, "text-anchor": "middle" }, text)

/** The logits with another three: two decimals, but that their sum stays what it was. */
function moved(state: State, z: Vector): number[] {
  const { classes, z: before } = three(state)
  const total = sum(before)
  const by = (total - sum(z)) / 3
  const [a, b] = z.map((x) => Number((x + by).toFixed(2)))
  const after = [a, b, Number((total - a - b).toPrecision(12))]
  return state.z.map((x, k) => after[classes.indexOf(k)] ?? x)
}
