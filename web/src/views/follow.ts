import { PALETTE } from "../colours.ts"
import { chart } from "../draw/chart.ts"
import { button, choice, figure, number, range } from "../draw/parts.ts"
import { h, type Description } from "../dom.ts"
import { OBJECTIVES, path, sum, type ObjectiveName, type Point } from "../maths.ts"
import { listed, pretty, tuple } from "../numbers.ts"
import { array, float, program } from "../python.ts"
import { MOST_STEPS, type State } from "../state.ts"
import { plane, three, triangle } from "./planes.ts"
import type { Page, View } from "./view.ts"

const NAMES: readonly (readonly [ObjectiveName, string])[] = [
  ["output", "one output, p[t]"],
  ["cross-entropy", "cross-entropy"],
  ["squared-error", "squared error"],
  ["sum", "the sum of all"],
  ["entropy", "entropy"],
]

/** What is followed, with the target's own number. */
function formula(state: State): string {
  const { classes, t } = three(state)
  return OBJECTIVES[state.objective].formula(classes[t])
}

const among = (state: State): string => listed("class", three(state).classes)

function walked(state: State): Point[] {
  const { z, t } = three(state)
  return path(state.objective, t, z, state.steps, state.lr)
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
    const what = formula(state)
    const only =
      state.z.length > 3 ? `Only ${among(state)} of ${state.z.length} are followed. ` : ""
    if (first.size === 0)
      return `${only}The gradient of ${what} is exactly zero, so nothing moves: it stays ${pretty(first.value)}.`
    if (!state.steps)
      return `${only}The gradient of ${what} at the start has the size ${pretty(first.size)}. Press play.`
    const verb = last.value > first.value ? "rises" : "falls"
    const peak = Math.max(...points.map(({ size }) => size))
    const faded =
      last.size < 0.1 * peak
        ? `; the gradient dies on the way, from ${pretty(peak, 3)} at its largest to ${pretty(last.size, 3)}`
        : ""
    return `${only}In ${state.steps} steps ${what} ${verb} from ${pretty(first.value)} to ${pretty(last.value)}${faded}. p ends at ${tuple(last.p, 3)}; the mean of the logits stays ${pretty(Number((sum(last.z) / 3).toFixed(9)))}.`
  },
  python(state) {
    const { z, t } = three(state)
    const at = [`z = ${array(z)}${state.z.length > 3 ? `  # ${among(state)}` : ""}`]
    if (state.objective === "squared-error") {
      return program(
        ...at,
        `t = np.eye(len(z))[${t}]`,
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

function ends(points: readonly Point[], state: State): Description {
  const [first, last] = [points[0], points[points.length - 1]]
  const { classes } = three(state)
  const row = (name: string, from: number, to: number, python?: string): Description =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", {}, pretty(from)),
      h("td", {}, number(to, python)),
    )
  const rows = (["z", "p"] as const).flatMap((letter) =>
    first[letter].map((x, k) => row(`${letter}[${classes[k]}]`, x, last[letter][k], `${letter}[${k}]`)),
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
      // One output stands above already.
      state.objective !== "output" &&
        row(formula(state), first.value, last.value, state.steps ? "value" : undefined),
      row("size of the gradient", first.size, last.size),
    ),
  )
}

function history(points: readonly Point[], state: State, { room }: Page): Description {
  const title = "The size of the gradient, step by step"
  const sizes = points.map(({ size }) => size)
  if (!sizes.some((size) => size > 0)) return figure(title, "It is exactly zero at every step.")
  const floor = Math.max(Math.min(...sizes), 1e-12)
  const ceiling = Math.max(...sizes, 1e-11)
  return figure(
    title,
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
