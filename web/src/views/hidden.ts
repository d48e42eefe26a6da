import { bars, limitOf, probabilities } from "../draw/bars.ts"
import { figure, number, range } from "../draw/parts.ts"
import { h } from "../dom.ts"
import { argmax, dot, norm, oneHot, plus, softmax, softmaxVjp, type Vector } from "../maths.ts"
import { pretty, tuple } from "../numbers.ts"
import { array, float, program } from "../python.ts"
import type { State } from "../state.ts"
import type { View } from "./view.ts"

const arriving = (state: State): number[] => plus(state.g, state.lift)

/** Why all of z_bar is zero. */
function whyNothing(p: Vector, g: Vector): string {
  if (!norm(g)) return "nothing arrives"
  if (g.every((x) => x === g[0]))
    return "g is the same everywhere, and that lies in softmax's null space"
  return `softmax is so certain of class ${argmax(p)} that the slopes are too small for float64`
}

export const hidden: View = {
  name: "hidden",
  tab: "A hidden softmax",
  title: "How does the gradient pass a softmax that is not the last layer?",
  lead: "Any g may arrive at its outputs. Its mean under p is taken off, and what is left is weighted with p: two passes over the row, and the matrix is never built.",
  presets: [
    { name: "Any g", state: () => ({ z: [2, 1, 0], g: [0.5, -1, 0.25], lift: 0 }) },
    {
      name: "One output is wanted larger",
      state: (s) => ({ g: oneHot(s.t, s.z.length), lift: 0 }),
    },
    {
      name: "What cross-entropy sends: −t/p",
      state: (s) => ({ g: softmax(s.z).map((p, k) => (k === s.t ? -1 / p : 0)), lift: 0 }),
    },
    { name: "A constant: nothing passes", state: (s) => ({ g: s.z.map(() => 1), lift: 0 }) },
    {
      name: "A confident softmax: hardly anything passes",
      state: () => ({ z: [9, 0, 0], g: [0.5, -1, 0.25], lift: 0 }),
    },
    {
      name: "Two rivals: half of it passes",
      state: () => ({ z: [8, 8, 0], g: [1, -1, 0], lift: 0 }),
    },
  ],
  question: {
    ask: "1 is added to every entry of g. What happens to the gradient at the logits?",
    options: ["Every entry rises", "The likeliest class gets more", "Nothing"],
    right: 2,
    change: () => ({ lift: 1 }),
    answer:
      "The mean under p rises by 1 as well, and is taken off. A gradient check with g = 1 everywhere sees nothing at all, for that reason.",
  },
  summary(state) {
    const [p, g] = [softmax(state.z), arriving(state)]
    const z_bar = softmaxVjp(p, g)
    if (!norm(z_bar)) return `Nothing passes: ${whyNothing(p, g)}.`
    const lift = state.lift
      ? ` The ${pretty(state.lift)} that was added everywhere has changed nothing.`
      : ""
    const up = argmax(z_bar.map(Math.abs))
    return `From g the mean ⟨p, g⟩ = ${pretty(dot(p, g))} is taken off, and p(g − ⟨p, g⟩) = ${tuple(z_bar)} is left: it sums to zero, is ${pretty(norm(z_bar) / norm(g), 2)} times as long as g, and is largest at z[${up}].${lift}`
  },
  python(state) {
    const lift = state.lift ? ` + ${float(state.lift)}` : ""
    return program(
      `z = ${array(state.z)}`,
      `g = ${array(state.g)}${lift}  # ∂L/∂p`,
      "p, J = sg.softmax.linearize(z)",
      "mean = p @ g",
      "z_bar = J.rmv(g)  # p * (g - mean)",
      "print(z_bar)",
    )
  },
  body(state, { set }) {
    const [p, g] = [softmax(state.z), arriving(state)]
    const mean = dot(p, g)
    const z_bar = softmaxVjp(p, g)
    const limit = limitOf([...g, ...plus(g, -mean)], 1)
    const move = (k: number, value: number): void =>
      set({
        g: state.g.map((x, j) => (j === k ? Number((value - state.lift).toPrecision(12)) : x)),
      })
    return [
      h(
        "div",
        { class: "columns two" },
        figure(
          "p = softmax(z)",
          "The weights of the mean.",
          probabilities(p),
        ),
        figure(
          "g = ∂L/∂p arrives",
          "Drag the bars. The line is their mean under p.",
          bars({
            title: "What arrives",
            values: g,
            limit,
            signed: true,
            tone: "gradient",
            label: (k) => `g[${k}]`,
            python: (k) => `g[${k}]`,
            mark: mean,
            drag: move,
          }),
          h("p", { class: "formula" }, "⟨p, g⟩ = ", number(mean, "mean")),
        ),
        figure(
          "g − ⟨p, g⟩",
          "The mean is taken off.",
          bars({
            title: "Less its mean",
            values: plus(g, -mean),
            limit,
            signed: true,
            tone: "gradient",
            label: (k) => `g[${k}]`,
            python: (k) => `g[${k}] - mean`,
          }),
        ),
        figure(
          "p·(g − ⟨p, g⟩) = ∂L/∂z leaves",
          "Weighted with p; it sums to zero.",
          bars({
            title: "What leaves",
            values: z_bar,
            limit,
            signed: true,
            tone: "gradient",
            label: (k) => `z[${k}]`,
            python: (k) => `z_bar[${k}]`,
          }),
        ),
      ),
      h(
        "div",
        { class: "controls" },
        range("Add to every entry of g", state.lift, [-5, 5, 0.25], (lift) => set({ lift })),
      ),
    ]
  },
}
