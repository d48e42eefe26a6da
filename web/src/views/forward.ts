import { bars, limitOf, probabilities } from "../draw/bars.ts"
import { choice, figure, range, toggle } from "../draw/parts.ts"
import { h } from "../dom.ts"
import { argmax, overflowsAt, plus, softmax, softmaxIn, type InFormat } from "../maths.ts"
import { listed, pretty, tuple } from "../numbers.ts"
import { array, float, program } from "../python.ts"
import { FORMATS, type State } from "../state.ts"
import type { View } from "./view.ts"

/** What the chosen format makes of the logits; in float64, after the subtraction, the library's own. */
function computed(state: State): InFormat {
  const z = plus(state.z, state.shift)
  const seen = softmaxIn(z, state.format, state.subtract)
  return exact(state) ? { ...seen, p: softmax(z) } : seen
}

/** How far below the largest logit each one is. */
function gaps({ shifted }: InFormat): number[] {
  const m = Math.max(...shifted)
  return shifted.map((x) => (x === m ? 0 : m - x)) // ∞ − ∞ is no number
}

/** What a difference of logits has become: a factor between the likeliest class and the next. */
function factor(seen: InFormat): string {
  const below = gaps(seen)
  const gap = Math.min(...below.filter((d) => d > 0))
  const [top, next] = [seen.p[below.indexOf(0)], seen.p[below.indexOf(gap)]]
  if (!next) return ""
  return `, ${pretty(top / next)} times as likely as class ${below.indexOf(gap)}, whose logit is ${pretty(gap)} less`
}

const exact = (state: State): boolean => state.format === "float64" && state.subtract

const DTYPE = {
  float64: "np.float64",
  float32: "np.float32",
  float16: "np.float16",
  bfloat16: "bfloat16",
}

export const forward: View = {
  name: "forward",
  tab: "Forward",
  title: "What does softmax do to logits?",
  lead: "It takes their exponentials and divides by the sum: a difference of logits becomes a factor of probabilities. Only differences count, so the largest may be subtracted first, and must be: an exponential overflows.",
  presets: [
    {
      name: "1 more is e times as likely",
      state: () => ({ z: [2, 1, 0], shift: 0, format: "float64", subtract: true }),
    },
    {
      name: "One is certain",
      state: () => ({ z: [9, 1, 0], shift: 0, format: "float64", subtract: true }),
    },
    { name: "A tie", state: () => ({ z: [3, 3, 0], shift: 0, format: "float64", subtract: true }) },
    {
      name: "Too large for float16",
      state: () => ({ z: [12, 11, 9], shift: 0, format: "float16", subtract: false }),
    },
    {
      name: "Too large for float32",
      state: () => ({ z: [2, 1, 0], shift: 88, format: "float32", subtract: false }),
    },
    {
      name: "Few digits: bfloat16",
      state: () => ({ z: [2.03, 2.01, 2], shift: 0, format: "bfloat16", subtract: true }),
    },
    {
      name: "Too small: all of it is 0",
      state: () => ({ z: [2, 1, 0], shift: -100, format: "float16", subtract: false }),
    },
  ],
  question: {
    ask: "50 is added to every logit. What happens to the probabilities?",
    options: ["All of them rise", "The largest takes everything", "Nothing"],
    right: 2,
    change: () => ({ shift: 50, format: "float64", subtract: true }),
    answer:
      "The factor exp(50) stands in every exponential and in their sum, and cancels. That is why subtracting the largest logit is allowed.",
  },
  summary(state) {
    const seen = computed(state)
    const { exponentials, total, p } = seen
    const shift = state.shift ? ` after ${pretty(state.shift)} was added to every logit` : ""
    const where = exact(state)
      ? ""
      : ` in ${state.format}${state.subtract ? "" : ", without subtracting the maximum"}`
    if (seen.shifted.some(Number.isNaN))
      return `Broken${where}: a logit is itself too large for it, and ∞ − ∞ is no number.`
    if (p.some(Number.isNaN)) {
      const why = total === 0 ? "every exponential is 0, and 0/0 is no number" : "∞/∞ is no number"
      const end = total === 0 ? "" : `: exp overflows past ${pretty(overflowsAt(state.format))}`
      return `Broken${where}${end}; ${why}. Subtract the maximum, and all is well.`
    }
    if (exponentials.includes(Infinity) || total === Infinity)
      return `Broken${where}: the sum is ∞, and p = ${tuple(p)}.`
    const top = p.flatMap((x, k) => (x === p[argmax(p)] ? [k] : []))
    const who =
      top.length === p.length
        ? "all classes are equally likely"
        : `${listed("class", top)} ${top.length > 1 ? "are" : "is"} likeliest`
    return `p = ${tuple(p)}${where}${shift}: ${who}${factor(seen)}. The probabilities sum to ${pretty(p.reduce((a, b) => a + b))}.`
  },
  python(state) {
    const shift = state.shift ? ` + ${float(state.shift)}` : ""
    if (exact(state))
      return program(`z = ${array(state.z)}${shift}`, "p = sg.softmax(z)", "print(p)")
    const z = shift ? `(${array(state.z)}${shift})` : array(state.z)
    const shifted = state.subtract ? "(z - z.max())" : "z"
    return program(
      state.format === "bfloat16" && "from ml_dtypes import bfloat16\n",
      `z = ${z}.astype(${DTYPE[state.format]})`,
      'with np.errstate(all="ignore"):',
      "    # Every operation is rounded to the dtype once, exp too.",
      `    e = np.exp(${shifted}.astype(np.float64)).astype(z.dtype)`,
      "    p = e / sum(e)",
      "print(p)",
    )
  },
  body(state, { set }) {
    const z = plus(state.z, state.shift)
    const seen = computed(state)
    const { exponentials, total, p } = seen
    const below = gaps(seen)
    const largest = exponentials[below.indexOf(0)]
    const sunk = (gap: number): string => {
      if (Number.isNaN(gap)) return ""
      return gap ? `${pretty(gap)} below the largest` : "the largest"
    }
    const shrunk = (e: number): string => {
      if (Number.isNaN(e)) return ""
      if (e === Infinity) return "overflow"
      if (e === 0) return `too small for ${state.format}`
      return e === largest ? "the largest" : `the largest ÷ ${pretty(largest / e)}`
    }
    const top = limitOf(exponentials, 1)
    return [
      h(
        "div",
        { class: "columns" },
        figure(
          "Logits z",
          "Only their differences count.",
          bars({
            title: "Logits",
            values: z,
            limit: limitOf(z, 5),
            signed: true,
            tone: "plain",
            label: (k) => `z[${k}]`,
            python: exact(state) ? (k) => `z[${k}]` : undefined,
            how: (k) => sunk(below[k]),
          }),
        ),
        figure(
          state.subtract ? "exp(z − max z)" : "exp(z)",
          state.subtract
            ? "The largest is exactly 1. Each 1 less in z divides by e = 2.718, wherever z stands."
            : `In ${state.format} it overflows past z = ${pretty(overflowsAt(state.format))}.`,
          bars({
            title: "Exponentials",
            values: exponentials,
            limit: top,
            signed: false,
            tone: "plain",
            label: (k) => `e[${k}]`,
            python: exact(state) ? undefined : (k) => `e[${k}]`,
            how: (k) => shrunk(exponentials[k]),
          }),
        ),
        figure(
          "Probabilities p",
          "Each exponential divided by their sum.",
          probabilities(p, (k) =>
            Number.isNaN(total) ? "" : `= ${pretty(exponentials[k])} ÷ ${pretty(total)}`,
          ),
        ),
      ),
      h(
        "div",
        { class: "controls" },
        range("Add to every logit", state.shift, [-100, 100, 1], (shift) => set({ shift })),
        toggle("Subtract the maximum", state.subtract, (subtract) => set({ subtract })),
        choice(
          "Numbers",
          FORMATS.map((format) => [format, format] as const),
          state.format,
          (format) => set({ format }),
        ),
      ),
    ]
  },
}
