import { PALETTE } from "../colours.ts"
import { chart } from "../draw/chart.ts"
import { field } from "../draw/field.ts"
import { button, choice, figure, number, range } from "../draw/parts.ts"
import { h, type Child, type Description } from "../dom.ts"
import {
  fromPlane,
  fromTriangle,
  inPlane,
  inTriangle,
  norm,
  OBJECTIVES,
  path,
  softmaxVjp,
  sum,
  type ObjectiveName,
  type Place,
  type Point,
  type Vector,
} from "../maths.ts"
import { pretty, tuple } from "../numbers.ts"
import { array, float, program } from "../python.ts"
import { MOST_STEPS, type State } from "../state.ts"
import type { Page, View } from "./view.ts"

const NAMES: readonly (readonly [ObjectiveName, string])[] = [
  ["output", "one output, p[t]"],
  ["cross-entropy", "cross-entropy"],
  ["squared-error", "squared error"],
  ["sum", "the sum of all"],
  ["entropy", "entropy"],
]

/** The triangle has three corners: the first three classes, and a target among them. */
function three(state: State): { z: Vector; t: number } {
  return { z: state.z.slice(0, 3), t: Math.min(state.t, 2) }
}

function walked(state: State): Point[] {
  const { z, t } = three(state)
  return path(state.objective, t, z, state.steps, state.lr)
}

/** The direction of a step at z. */
function direction(state: State, z: Vector): number[] {
  const { ascend, at } = OBJECTIVES[state.objective]
  return at(z, three(state).t).z_bar.map((x) => (ascend ? x : -x))
}

export const follow: View = {
  name: "follow",
  tab: "Follow the gradient",
  title: "Where does the gradient lead?",
  lead: "Steps on the logits, along the gradient of one number made from the outputs. Left the probabilities, right the logits; the same path. Drag the ring to start elsewhere.",
  presets: [
    {
      name: "One output climbs",
      state: () => ({ z: [2, 1, 0], t: 2, objective: "output", steps: 60, lr: 1 }),
    },
    {
      name: "Stuck: a small output",
      state: () => ({ z: [2, 1, -6], t: 2, objective: "output", steps: 60, lr: 1 }),
    },
    {
      name: "Not stuck: its logarithm",
      state: () => ({ z: [2, 1, -6], t: 2, objective: "cross-entropy", steps: 60, lr: 1 }),
    },
    {
      name: "Squared error, confidently wrong",
      state: () => ({ z: [6, 0, -2], t: 2, objective: "squared-error", steps: 60, lr: 1 }),
    },
    {
      name: "The sum goes nowhere",
      state: () => ({ z: [2, 1, 0], objective: "sum", steps: 60, lr: 1 }),
    },
    {
      name: "Entropy levels",
      state: () => ({ z: [3, 1, -2], objective: "entropy", steps: 60, lr: 1 }),
    },
  ],
  question: {
    ask: "All outputs are wanted larger: the gradient of their sum is climbed. Where does it lead?",
    options: ["All go to 1", "One of them goes to 1", "Nowhere"],
    right: 2,
    change: () => ({ objective: "sum", steps: 60 }),
    answer:
      "The outputs sum to 1 for every z, so the sum is a constant, and its gradient is exactly zero: Jᵀ(1, …, 1) = 0. Sigmoid outputs have no such tie, and would all rise.",
  },
  summary(state) {
    if (state.z.length < 3) return "The triangle needs three classes: add one to the logits."
    const points = walked(state)
    const [first, last] = [points[0], points[points.length - 1]]
    const formula = OBJECTIVES[state.objective].formula(three(state).t)
    const only = state.z.length > 3 ? "Of the classes the first three alone are followed. " : ""
    if (first.size === 0)
      return `${only}The gradient of ${formula} is exactly zero, so nothing moves: it stays ${pretty(first.value)}.`
    if (!state.steps)
      return `${only}The gradient of ${formula} at the start has the size ${pretty(first.size)}. Press play.`
    const verb = last.value > first.value ? "rises" : "falls"
    const peak = Math.max(...points.map(({ size }) => size))
    const faded =
      last.size < 0.1 * peak
        ? `; the gradient dies on the way, from ${pretty(peak, 3)} at its largest to ${pretty(last.size, 3)}`
        : ""
    return `${only}In ${state.steps} steps ${formula} ${verb} from ${pretty(first.value)} to ${pretty(last.value)}${faded}. p ends at ${tuple(last.p, 3)}; the mean of the logits stays ${pretty(Number((sum(last.z) / 3).toFixed(9)))}.`
  },
  python(state) {
    const { z, t } = three(state)
    const at = [`z = ${array(z)}`]
    if (state.objective === "squared-error") {
      return program(
        ...at,
        `t = np.eye(3)[${t}]`,
        `for step in range(${state.steps}):`,
        "    p, J = sg.softmax.linearize(z)",
        `    z = z - ${float(state.lr)} * J.rmv(p - t)`,
        "p = sg.softmax(z)",
        "value = ((p - t) ** 2).sum() / 2",
        "print(p, value)",
      )
    }
    // What sg.follow climbs is the logarithm; cross-entropy, its negative, is descended.
    const [name, index] = {
      output: ["output", `index=${t}, `],
      "cross-entropy": ["log", `index=${t}, `],
      sum: ["sum", ""],
      entropy: ["entropy", ""],
    }[state.objective]
    const ends = [
      "z = seen.pre_activations[-1]",
      "p = seen.outputs[-1]",
      `value = ${name === "log" ? "-" : ""}seen.objective[-1]`,
      "print(p, value)",
    ]
    if (!state.steps) return program(...at, "p = sg.softmax(z)", "print(p)")
    return program(
      ...at,
      `followed = sg.follow(sg.softmax, "${name}", ${state.steps}, ${float(state.lr)}, ${index}start=z)`,
      "seen = followed.trajectory",
      ...ends,
    )
  },
  body(state, page) {
    if (state.z.length < 3) return [h("p", { class: "note" }, "The triangle needs three classes.")]
    const { set } = page
    const points = walked(state)
    const step = (): void => set({ steps: Math.min(state.steps + 1, MOST_STEPS) })
    return [
      h(
        "div",
        { class: "controls" },
        choice("Objective", NAMES, state.objective, (objective) => set({ objective })),
      ),
      h("div", { class: "pair" }, triangle(state, points, page), plane(state, points, page)),
      h(
        "div",
        { class: "controls" },
        h(
          "div",
          { class: "buttons" },
          button(page.playing ? "Pause" : "Play", page.play, { id: "play", class: "main" }),
          button("Step", step, { id: "step" }),
          button("Reset", () => set({ steps: 0 }), { id: "reset" }),
        ),
        range("Learning rate", state.lr, [0.1, 5, 0.1], (lr) => set({ lr })),
        range("Steps", state.steps, [0, MOST_STEPS, 1], (steps) => set({ steps })),
      ),
      h("div", { class: "pair" }, ends(points, state), history(points, state, page)),
    ]
  },
}

const SIDE = 300
const MARGIN = 42
const TALL = SIDE * Math.sqrt(0.75)
const WIDTH = SIDE + 2 * MARGIN
const LEAST = 1e-4

function triangle(state: State, points: readonly Point[], { set }: Page): Description {
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
  const ground = [
    h("path", { class: "side", d: `M${low}L${right}L${top}Z` }),
    corner(`p[0] = 1`, low[0], low[1] + 20),
    corner(`p[1] = 1`, right[0], right[1] + 20),
    corner("p[2] = 1", top[0], top[1] - 14),
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

function plane(state: State, points: readonly Point[], { set }: Page): Description {
  const places = points.map((point) => inPlane(point.z))
  const far = Math.max(...places.flat().map(Math.abs))
  const radius = 4 * Math.max(1, 2 ** Math.ceil(Math.log2((1.1 * far) / 4)))
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
  const ground: Child[] = [
    h("rect", { class: "side", x: 0.5, y: 0.5, width: size - 1, height: height - 1, rx: 6 }),
    ...rays,
    corner("z[0] largest", 52, height - 14),
    corner("z[1] largest", size - 52, height - 14),
    corner("z[2] largest", size / 2, 20),
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
      },
    }),
  )
}

const corner = (text: string, x: number, y: number): Description =>
  h("text", { x, y, "text-anchor": "middle" }, text)

/** The logits with other first three, which keep their mean and get no more than two decimals. */
function moved(state: State, z: Vector): number[] {
  const by = sum(three(state).z) / 3 - sum(z) / 3
  return [...z.map((x) => Number((x + by).toFixed(2))), ...state.z.slice(3)]
}

function ends(points: readonly Point[], state: State): Description {
  const [first, last] = [points[0], points[points.length - 1]]
  const row = (name: string, from: number, to: number, python?: string): Description =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", {}, pretty(from)),
      h("td", {}, number(to, python)),
    )
  const rows = (["z", "p"] as const).flatMap((letter) =>
    first[letter].map((x, k) => row(`${letter}[${k}]`, x, last[letter][k], `${letter}[${k}]`)),
  )
  return h(
    "table",
    {},
    h("caption", {}, "Start and end"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("td"),
        h("th", { scope: "col" }, "start"),
        h("th", { scope: "col" }, `after ${state.steps} steps`),
      ),
    ),
    h(
      "tbody",
      {},
      ...rows,
      row(
        OBJECTIVES[state.objective].formula(three(state).t),
        first.value,
        last.value,
        state.steps ? "value" : undefined,
      ),
      row("size of the gradient", first.size, last.size),
    ),
  )
}

function history(points: readonly Point[], state: State, { room }: Page): Description {
  const sizes = points.map(({ size }) => size)
  const floor = Math.max(Math.min(...sizes), 1e-12)
  const ceiling = Math.max(...sizes, 1e-11)
  return figure(
    "The size of the gradient, step by step",
    "Where it falls, each step is shorter than the one before.",
    chart({
      title: "Size of the gradient at every step",
      x: { label: "step", low: 0, high: Math.max(state.steps, 10) },
      y: {
        label: "",
        low: 10 ** Math.floor(Math.log10(floor)),
        high: 10 ** Math.ceil(Math.log10(ceiling) + 1e-9),
        log: true,
      },
      lines: [
        {
          name: "‖gradient‖",
          colour: PALETTE[3],
          points: sizes.flatMap((size, k) => (size > 0 ? [[k, size] as const] : [])),
        },
      ],
      width: Math.min(room, 340),
    }),
  )
}
