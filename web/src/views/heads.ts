import { PALETTE } from "../colours.ts"
import { bars, limitOf } from "../draw/bars.ts"
import { chart } from "../draw/chart.ts"
import { figure, number, toggle } from "../draw/parts.ts"
import { h } from "../dom.ts"
import { HEADS, norm, type Head } from "../maths.ts"
import { listed, pretty, told } from "../numbers.ts"
import { float, program } from "../python.ts"
import type { State } from "../state.ts"
import type { View } from "./view.ts"

const [SOFTMAX, SIGMOID, SIGMOID_ALL, SQUARED] = HEADS
const TITLES: Readonly<Record<Head["name"], string>> = {
  softmax: "softmax, cross-entropy",
  sigmoid: "sigmoid, one cell",
  "sigmoid-all": "sigmoid, every cell",
  "softmax-squared": "softmax, squared error",
}

const shown = (state: State): Head[] => [SOFTMAX, state.cells ? SIGMOID_ALL : SIGMOID, SQUARED]

/** The likeliest of the wrong classes. */
const rivalOf = ({ z, t }: State): number =>
  z.reduce((best, x, k) => (k !== t && (best === t || x > z[best]) ? k : best), t)

/** The row with the target so far ahead of its rival, and their sum as it is. */
const withLead = (state: State, rival: number, lead: number): number[] => {
  const middle = (state.z[state.t] + state.z[rival]) / 2
  return state.z.map((x, k) =>
    k === state.t ? middle + lead / 2 : k === rival ? middle - lead / 2 : x,
  )
}

export const heads: View = {
  name: "heads",
  tab: "The gradient you get",
  title: "Which gradient arrives at the logits?",
  lead: "The same logits and the same target class under three heads. A step goes against the gradient: orange lowers a logit, blue raises it.",
  presets: [
    { name: "Confidently wrong", state: () => ({ z: [9, 1, 0], t: 2 }) },
    { name: "Unsure", state: () => ({ z: [0.4, 0.1, 0], t: 2 }) },
    { name: "Confidently right", state: () => ({ z: [9, 1, 0], t: 0 }) },
    { name: "Two rivals, one bystander", state: () => ({ z: [2, 2, -4], t: 0, cells: false }) },
    { name: "Every sigmoid cell has a loss", state: () => ({ z: [2, 1, 0], t: 2, cells: true }) },
  ],
  question: {
    ask: "The network is certain, and wrong. Which loss still sends a large gradient?",
    options: ["Cross-entropy", "Squared error of softmax", "Both"],
    right: 0,
    change: (state) => ({ z: state.z.map((_, k) => (k === (state.t ? 0 : 1) ? 12 : 0)) }),
    answer:
      "p − t is nearly −1 at the target. Squared error multiplies p − t by softmax's Jacobian, and that is nearly zero where one output is nearly 1: where the error is worst, nothing is learnt.",
  },
  summary(state) {
    const [one, two, three] = shown(state).map((head) => head.at(state.z, state.t))
    const silent = two.z_bar.flatMap((x, k) => (x === 0 ? [k] : []))
    const ratio = norm(three.z_bar) / norm(one.z_bar)
    const dying = norm(one.z_bar)
      ? `, ${ratio < 0.1 ? "only " : ""}${pretty(ratio, 2)} times as large`
      : ""
    return [
      `Class ${state.t} is right and has p = ${told(one.p[state.t], 3)}. Cross-entropy sends ${told(one.z_bar[state.t], 3)} to its logit;`,
      norm(three.z_bar)
        ? `squared error sends ${pretty(three.z_bar[state.t], 3)}${dying} in all.`
        : "squared error sends nothing at all.",
      silent.length
        ? `The sigmoid cell sends exactly nothing to ${listed("class", silent)}: its loss reads one cell.`
        : "Every sigmoid cell hears its own error.",
    ].join(" ")
  },
  python(state) {
    const names = shown(state)
      .map(({ name }) => `"${name}"`)
      .join(", ")
    return program(
      "# One feature, x = 1: the column of weights is the logits.",
      `W = [${state.z.map((x) => `[${float(x)}]`).join(", ")}]`,
      `both = sg.compare([1.0], W, target=${state.t}, heads=[${names}])`,
      "heads = both.heads",
      "print(both)",
    )
  },
  body(state, { set, room }) {
    const answers = shown(state).map((head) => ({ head, ...head.at(state.z, state.t) }))
    const limit = limitOf(
      answers.flatMap(({ z_bar }) => z_bar),
      0.01,
    )
    const rival = rivalOf(state)
    const lead = state.z[state.t] - state.z[rival]
    const end = Math.max(12, Math.abs(lead))
    const [low, high] = [-end, end]
    const sweep = Array.from({ length: 121 }, (_, i) => low + ((high - low) * i) / 120)
    const size = (head: Head, lead: number): number =>
      norm(head.at(withLead(state, rival, lead), state.t).z_bar)
    const lines = shown(state).map((head, i) => ({
      name: TITLES[head.name],
      colour: PALETTE[[2, 3, 4][i]],
      dashed: i === 1,
      points: sweep.map((value) => [value, size(head, value)] as const),
    }))
    const highest = limitOf(
      lines.flatMap(({ points }) => points.map(([, y]) => y)),
      1,
    )
    return [
      h(
        "div",
        { class: "columns" },
        ...answers.map(({ head, p, loss, z_bar }, i) =>
          figure(
            TITLES[head.name],
            `Gradient: ${head.gradient(state.t)}.`,
            h(
              "p",
              { class: "formula" },
              `L = ${head.loss(state.t)} = `,
              number(loss, `heads[${i}].loss`),
            ),
            bars({
              title: `Outputs of ${TITLES[head.name]}`,
              values: p,
              limit: 1,
              signed: false,
              tone: "probability",
              label: (k) => `p[${k}]`,
              python: (k) => `heads[${i}].outputs[${k}]`,
            }),
            h("p", { class: "formula" }, "∂L/∂z"),
            bars({
              title: `Gradient of ${TITLES[head.name]}`,
              values: z_bar,
              limit,
              signed: true,
              tone: "gradient",
              label: (k) => `z[${k}]`,
              python: (k) => `heads[${i}].logits_bar[${k}]`,
            }),
          ),
        ),
      ),
      h(
        "div",
        { class: "controls" },
        toggle("Every sigmoid cell has a loss", state.cells, (cells) => set({ cells })),
      ),
      figure(
        "How large the gradient is, from confidently wrong to confidently right",
        `Class ${state.t} and its strongest rival, ${rival}, are moved against each other; the dots are where they stand. Far left the answer is certain and wrong: cross-entropy's gradient is largest there, and squared error's dies, for it is multiplied by softmax's Jacobian, which is nearly zero where one output is nearly 1.`,
        chart({
          title: "Size of the gradient in z over the target's lead, for three heads",
          x: { label: `lead of the right class, z[${state.t}] − z[${rival}]`, low, high },
          y: { label: "", low: 0, high: highest },
          lines,
          width: room,
          dots: shown(state).map((head, i) => ({
            x: lead,
            y: size(head, lead),
            colour: lines[i].colour,
          })),
        }),
      ),
    ]
  },
}
