import { PALETTE } from "../colours.ts"
import { cells } from "../draw/cells.ts"
import { chart, type Line } from "../draw/chart.ts"
import { figure, number } from "../draw/parts.ts"
import { h, type Description } from "../dom.ts"
import {
  BACKWARDS,
  COTANGENT,
  DIRECTION,
  errorCurve,
  jacobian,
  matrixOf,
  slope,
  softmax,
  STEPS,
  type Format,
  type Matrix,
  type MistakeName,
} from "../maths.ts"
import { pretty } from "../numbers.ts"
import { array, program } from "../python.ts"
import type { State } from "../state.ts"
import type { View } from "./view.ts"

/** What a reader calls it, and what the pattern shows. */
const STORIES: Readonly<Record<MistakeName, readonly [title: string, pattern: string]>> = {
  right: ["The right one", "The difference is zero in every cell."],
  "diagonal-only": ["h(1 − h)", "The diagonal is right, and all else is missing."],
  identity: [
    "g is passed on",
    "The Jacobian is never applied: the unit matrix stands in its place.",
  ],
  "projection-term": [
    "Σg for ⟨p, g⟩",
    "Too much is taken off in every cell but the diagonal of the matrix: the sum is not weighted with p.",
  ],
  scale: ["Twice as much", "The error is the Jacobian itself, once more."],
  sign: ["The wrong sign", "The error is the Jacobian, twice: training climbs."],
  zero: [
    "Nothing",
    "The whole Jacobian is missing. A check with g = 1 passes it: there the right answer is zero.",
  ],
  "wrong-variable": ["z in the place of p", "The formula has the right form and the wrong letter."],
  unnamed: [
    "p kept in float16",
    "The difference is small in every cell and has no pattern: p has lost its last digits.",
  ],
}

const NAMES = Object.keys(STORIES) as MistakeName[]

const difference = (A: Matrix, B: Matrix): Matrix =>
  A.map((row, i) => row.map((x, j) => x - B[i][j]))

const largest = (A: Matrix): number => Math.max(...A.flat().map(Math.abs))

/** The error that differences themselves have at their best step. */
const best = (state: State, format: Format): number =>
  Math.min(...errorCurve("right", state.z, format))

const floorOf = (state: State): number => {
  const truth = slope("right", state.z)
  return Math.abs(slope(state.mistake, state.z) - truth) / Math.abs(truth)
}

export const check: View = {
  name: "check",
  tab: "The check lab",
  title: "How does a gradient check see a wrong backward?",
  lead: "A difference quotient has two errors: a large step bends, a small one rounds. A right backward goes down with the V; a wrong one stays on a floor that no step gets under.",
  presets: [
    { name: "h(1 − h), the usual one", state: () => ({ z: [2, 1, 0], mistake: "diagonal-only" }) },
    { name: "The right one: a clean V", state: () => ({ z: [2, 1, 0], mistake: "right" }) },
    { name: "p kept in float16: a low floor", state: () => ({ z: [2, 1, 0], mistake: "unnamed" }) },
    { name: "It passes with g = 1", state: () => ({ z: [2, 1, 0], mistake: "zero" }) },
    { name: "Five classes", state: () => ({ z: [2, 1, 0.5, 0, -1], mistake: "projection-term" }) },
  ],
  question: {
    ask: "A backward returns twice the gradient. With which step h does a check in float64 pass it?",
    options: ["A very small one", "The best one, about 1e-5", "None"],
    right: 2,
    change: () => ({ mistake: "scale" }),
    answer:
      "The error of the backward does not depend on h. The curve ends on a floor at 1, and no step gets under it.",
  },
  summary(state) {
    const [double, single] = [best(state, "float64"), best(state, "float32")]
    if (!slope("right", state.z))
      return "The slope along the direction is zero here: there is nothing to compare."
    if (state.mistake === "right")
      return `The right backward: differences agree with it to ${pretty(double, 2)} in float64 at the best step, and to ${pretty(single, 2)} in float32. What is left is the difference's own error.`
    const floor = floorOf(state)
    const hidden =
      floor < 3 * single
        ? `, which float32 differences (${pretty(single, 2)} at best) can hardly tell from their own error`
        : ""
    const name =
      state.mistake === "unnamed"
        ? "softgrad.check fails it and has no name for it"
        : `softgrad.check calls it ${state.mistake}`
    return `${STORIES[state.mistake][0]}: ${name}. Along this direction the slope is off by ${pretty(floor, 3)} of itself${hidden}. ${STORIES[state.mistake][1]}`
  },
  python(state) {
    const wrong = state.mistake === "unnamed"
    return program(
      `z = ${array(state.z)}`,
      "",
      "def backward(z, g):",
      "    p = sg.softmax(z)",
      wrong && "    h = p.astype(np.float16).astype(np.float64)",
      `    return ${BACKWARDS[state.mistake].code}`,
      "",
      "report = sg.check(sg.softmax, backward, z)",
      "print(report)",
      "",
      "yours = np.array([backward(z, g) for g in np.eye(len(z))])  # row i answers to g = e[i]",
      "J = sg.softmax.jacobian(z)",
      `u = ${array(DIRECTION.slice(0, state.z.length))}`,
      `g = ${array(COTANGENT.slice(0, state.z.length))}`,
      "claimed, true = backward(z, g) @ u, sg.softmax.vjp(z, g) @ u",
      'print(f"slope along u: the backward says {claimed:.4g}, off by {claimed - true:.2g}")',
    )
  },
  body(state, { set, room }) {
    const p = softmax(state.z)
    const J = jacobian(p)
    const yours = matrixOf(state.mistake, state.z)
    const names = (letter: string): string[] => state.z.map((_, k) => `${letter}[${k}]`)
    const matrix = (
      title: string,
      values: Matrix,
      python: (i: number, j: number) => string,
      limit = largest(J),
    ): Description => cells({ title, values, limit, rows: names("p"), columns: names("z"), python })
    const error = difference(yours, J)
    const wrong = state.mistake !== "right"
    const curve = (name: MistakeName, format: Format, colour: string): Line => ({
      name: `${name === "right" ? "the right one" : "this one"}, ${format}`,
      colour,
      dashed: format === "float32",
      points: errorCurve(name, state.z, format).flatMap((error, k) =>
        Number.isFinite(error) ? [[STEPS[k], Math.max(error, 1e-14)] as const] : [],
      ),
    })
    const lines = [
      curve(state.mistake, "float64", PALETTE[1]),
      curve(state.mistake, "float32", PALETTE[1]),
    ]
    const right = [curve("right", "float64", PALETTE[2]), curve("right", "float32", PALETTE[2])]
    return [
      h(
        "fieldset",
        { class: "mistakes" },
        h("legend", {}, "The backward's last line"),
        ...NAMES.map((name) =>
          h(
            "label",
            {},
            h("input", {
              type: "radio",
              name: "mistake",
              value: name,
              checked: name === state.mistake,
              onchange: () => set({ mistake: name }),
            }),
            h("span", {}, STORIES[name][0], h("code", {}, BACKWARDS[name].code)),
          ),
        ),
      ),
      h(
        "div",
        { class: "matrices" },
        matrix("The backward's", yours, (i, j) => `yours[${i}, ${j}]`),
        matrix("The Jacobian", J, (i, j) => `J[${i}, ${j}]`),
        matrix(
          "Difference, own scale",
          error,
          (i, j) => `yours[${i}, ${j}] - J[${i}, ${j}]`,
          largest(error),
        ),
      ),
      figure(
        "Backward against difference quotient, over the step",
        "The relative error along one direction. The left arm is rounding, the right arm the quotient's own bend; both are the check's, not the backward's. A mistake is what stays at every step.",
        chart({
          title:
            "Relative error of the backward's slope over the step h, in float64 and in float32",
          x: { label: "step h", low: 1e-14, high: 1, log: true },
          y: { label: "", low: 1e-14, high: 1e3, log: true },
          lines: wrong ? [...right, ...lines] : right,
          width: room,
        }),
      ),
      h(
        "p",
        { class: "formula" },
        "Slope along u: the backward says ",
        number(slope(state.mistake, state.z), "claimed"),
        ", and it is ",
        number(slope("right", state.z), "true"),
        ".",
      ),
    ]
  },
}
