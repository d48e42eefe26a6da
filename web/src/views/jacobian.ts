import { cells } from "../draw/cells.ts"
import { number, toggle } from "../draw/parts.ts"
import { h, type Description } from "../dom.ts"
import {
  argmax,
  diagonalOnly,
  jacobian,
  oneHot,
  softmax,
  softmaxVjp,
  sum,
  type Matrix,
  type Vector,
} from "../maths.ts"
import { listed, pretty, tuple } from "../numbers.ts"
import { array, program } from "../python.ts"
import type { State } from "../state.ts"
import type { View } from "./view.ts"

const matrixOf = (state: State, p: Vector): Matrix =>
  state.elementwise ? p.map((_, i) => diagonalOnly(p, oneHot(i, p.length))) : jacobian(p)

const rowSums = (state: State, p: Vector): number[] => {
  const ones = p.map(() => 1)
  return state.elementwise ? diagonalOnly(p, ones) : softmaxVjp(p, ones)
}

const range = (n: number): number[] => Array.from({ length: n }, (_, k) => k)

export const jacobianView: View = {
  name: "jacobian",
  tab: "The Jacobian",
  title: "Why is the derivative of softmax a matrix?",
  lead: "Because every output depends on every logit, through the sum that they share. Row i, column j is the slope of p[i] in z[j].",
  presets: [
    { name: "A calm row", state: () => ({ z: [2, 1, 0], elementwise: false }) },
    { name: "Undecided", state: () => ({ z: [0, 0, 0], elementwise: false }) },
    {
      name: "One leads, and the slopes vanish",
      state: () => ({ z: [7, 0, 0], elementwise: false }),
    },
    { name: "Two rivals", state: () => ({ z: [3, 3, -3], elementwise: false }) },
    {
      name: "What h(1 − h) leaves out",
      state: () => ({ z: [2, 1, 0], elementwise: true, row: 0, column: 1 }),
    },
    { name: "Six classes", state: () => ({ z: [2, 1.5, 1, 0.5, 0, -1], elementwise: false }) },
  ],
  question: {
    ask: "One logit is raised a little. How many of the probabilities change?",
    options: ["Its own alone", "Its own and the likeliest", "All of them"],
    right: 2,
    change: (state) => ({ elementwise: false, column: state.t, row: state.t }),
    answer:
      "Its own rises, and every other one falls, since they share one sum: that is a whole column of the matrix, and it sums to zero.",
  },
  summary(state) {
    const p = softmax(state.z)
    if (!state.elementwise) {
      const slopes = jacobian(p).map((row, i) => row[i])
      const k = argmax(slopes)
      const top = slopes.flatMap((x, j) => (x > slopes[k] * (1 - 1e-12) ? [j] : []))
      const largest =
        top.length > 1
          ? `The largest, those of ${listed("class", top)}, are p[k](1 − p[k])`
          : `The largest is p[${k}](1 − p[${k}])`
      const sign = p.includes(0) ? "negative or 0" : "negative"
      const small = slopes[k] < 0.01 ? ", so hardly any gradient passes" : ""
      return `${p.length} × ${p.length} slopes at p = ${tuple(p, 3)}. ${largest} = ${pretty(slopes[k])}${small}. All off the diagonal, −p[i]·p[j], are ${sign}, and every row sums to zero: adding the same to every logit changes no output.`
    }
    const lost = Math.max(
      ...jacobian(p).flatMap((row, i) => row.map((x, j) => (i === j ? 0 : Math.abs(x)))),
    )
    return `Treated elementwise, ${p.length * (p.length - 1)} of ${p.length ** 2} slopes are dropped, the largest of size ${pretty(lost)}. The rows sum to ${pretty(Math.max(...rowSums(state, p)))} and less, where they must sum to zero: half of the matrix's weight is lost.`
  },
  python(state) {
    return program(
      `z = ${array(state.z)}`,
      "p, J = sg.softmax.linearize(z)",
      state.elementwise
        ? "M = np.diag(J.as_matrix().diagonal())  # h(1 - h), and nothing else"
        : "M = J.as_matrix()",
      `row_sums = ${state.elementwise ? "M.sum(axis=1)" : "J.mv(np.ones_like(z))"}`,
      "print(M)",
    )
  },
  body(state, { set }) {
    const p = softmax(state.z)
    const matrix = matrixOf(state, p)
    const sums = rowSums(state, p)
    const K = p.length
    return [
      h(
        "div",
        { class: "pair" },
        cells({
          title: state.elementwise ? "The diagonal alone" : "J = diag(p) − p pᵀ",
          values: matrix,
          limit: Math.max(...jacobian(p).flat().map(Math.abs)),
          rows: range(K).map((i) => `∂p[${i}]`),
          columns: range(K).map((j) => `/∂z[${j}]`),
          python: (i, j) => `M[${i}, ${j}]`,
          sums: { values: sums, python: (i) => `row_sums[${i}]` },
          look: { row: state.row, column: state.column, at: (row, column) => set({ row, column }) },
        }),
        reading(state, p),
      ),
      h("p", { class: "note" }, "Hover a cell, or move through the matrix with the arrow keys."),
      h(
        "div",
        { class: "controls" },
        toggle("Treat it elementwise", state.elementwise, (elementwise) => set({ elementwise })),
      ),
    ]
  },
}

/** One cell's formula, with its letters and with its numbers. */
function reading({ row: i, column: j, elementwise }: State, p: Vector): Description {
  const value = jacobian(p)[i][j]
  const [a, b] = [pretty(p[i]), pretty(p[j])]
  const formula = i === j ? `p[${i}]·(1 − p[${i}])` : `−p[${i}]·p[${j}]`
  const digits = i === j ? `${a}·(1 − ${a})` : `−${a}·${b}`
  const others = p.map((_, k) => k).filter((k) => k !== j)
  const falls = sum(others.map((k) => p[k] * p[j]))
  return h(
    "div",
    { class: "reading" },
    h("h3", {}, `∂p[${i}]/∂z[${j}]`),
    h("p", { class: "formula" }, `= ${formula}`),
    h("p", { class: "formula" }, `= ${digits}`),
    h(
      "p",
      { class: "formula strong" },
      "= ",
      number(value, elementwise ? undefined : `M[${i}, ${j}]`),
    ),
    elementwise && i !== j
      ? h(
          "p",
          { class: "bad" },
          "Treated elementwise this slope is dropped, as if p[",
          String(i),
          "] did not notice z[",
          String(j),
          "].",
        )
      : h(
          "p",
          {},
          i === j
            ? `Raise z[${j}] by 0.01: p[${j}] rises by about ${pretty(0.01 * value, 2)}, and the others fall by ${pretty(0.01 * falls, 2)} together.`
            : `Raise z[${j}] by 0.01: p[${i}] falls by about ${pretty(-0.01 * value, 2)}.`,
        ),
  )
}
