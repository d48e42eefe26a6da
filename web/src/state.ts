/** What the page shows, all of it, and the same in the address. */
import {
  OBJECTIVES,
  BACKWARDS,
  type Format,
  type MistakeName,
  type ObjectiveName,
  type Vector,
} from "./maths.ts"

export const VIEWS = ["forward", "heads", "jacobian", "follow", "hidden", "check"] as const
export type ViewName = (typeof VIEWS)[number]
export const FORMATS: readonly Format[] = ["float64", "float32", "bfloat16", "float16"]
export const THEMES = ["auto", "light", "dark"] as const

export const FEWEST = 2
export const MOST = 8
/** No logit and no entry of g is larger. */
export const LARGEST = 1e6
export const MOST_STEPS = 500

export interface State {
  readonly view: ViewName
  /** The logits, and the class that is meant. */
  readonly z: Vector
  readonly t: number
  /** Added to every logit, in the first view. */
  readonly shift: number
  readonly format: Format
  readonly subtract: boolean
  /** Whether every sigmoid cell has a loss. */
  readonly cells: boolean
  readonly elementwise: boolean
  /** The entry of the Jacobian that is looked at. */
  readonly row: number
  readonly column: number
  readonly objective: ObjectiveName
  readonly lr: number
  readonly steps: number
  /** What arrives at the outputs of a hidden softmax, and what is added to all of it. */
  readonly g: Vector
  readonly lift: number
  readonly mistake: MistakeName
  readonly theme: (typeof THEMES)[number]
}

export type Patch = Partial<State>

export const DEFAULT: State = {
  view: "forward",
  z: [2, 1, 0],
  t: 2,
  shift: 0,
  format: "float64",
  subtract: true,
  cells: false,
  elementwise: false,
  row: 0,
  column: 1,
  objective: "output",
  lr: 1,
  steps: 60,
  g: [0.5, -1, 0.25],
  lift: 0,
  mistake: "diagonal-only",
  theme: "auto",
}

/** Apply a change; what then no longer fits is made to. */
export function changed(state: State, patch: Patch): State {
  const next = { ...state, ...patch }
  const last = next.z.length - 1
  const at = (k: number): number => Math.min(k, last)
  const inside = (x: number): number => Math.min(Math.max(x, -LARGEST), LARGEST)
  const z = next.z.map(inside)
  const g = z.map((_, k) => inside(next.g[k] ?? 0))
  return { ...next, z, g, t: at(next.t), row: at(next.row), column: at(next.column) }
}

type Reader = (text: string) => unknown

const finite = (text: string, low: number, high: number): number | undefined => {
  const value = Number(text)
  return text.trim() !== "" && value >= low && value <= high ? value : undefined
}
const within =
  (low: number, high: number): Reader =>
  (text) =>
    finite(text, low, high)
const whole =
  (low: number, high: number): Reader =>
  (text) => {
    const value = finite(text, low, high)
    return Number.isInteger(value) ? value : undefined
  }
const oneOf =
  (names: readonly string[]): Reader =>
  (text) =>
    names.includes(text) ? text : undefined
const flag: Reader = (text) => ({ "1": true, "0": false })[text]

/** Numbers with commas between them, as on the command line; undefined where they are none. */
export function vector(text: string): number[] | undefined {
  const values = text.split(",").map((part) => finite(part, -LARGEST, LARGEST))
  const fits = values.length >= FEWEST && values.length <= MOST && !values.includes(undefined)
  return fits ? (values as number[]) : undefined
}

const READERS: Readonly<Record<keyof State, Reader>> = {
  view: oneOf(VIEWS),
  z: vector,
  t: whole(0, MOST - 1),
  shift: within(-1000, 1000),
  format: oneOf(FORMATS),
  subtract: flag,
  cells: flag,
  elementwise: flag,
  row: whole(0, MOST - 1),
  column: whole(0, MOST - 1),
  objective: oneOf(Object.keys(OBJECTIVES)),
  lr: within(0.01, 10),
  steps: whole(0, MOST_STEPS),
  g: vector,
  lift: within(-1000, 1000),
  mistake: oneOf(Object.keys(BACKWARDS)),
  theme: oneOf(THEMES),
}

/** Write what is not as in `base`, all of it where there is none: `view=heads&z=8,1,0`. */
export function encode(state: State, base?: State): string {
  return (Object.keys(state) as (keyof State)[])
    .filter((key) => String(state[key]) !== String(base?.[key]))
    .map((key) => `${key}=${typeof state[key] === "boolean" ? +state[key] : state[key]}`)
    .join("&")
}

/** Read an address; what cannot be read stays as it is in `base`. */
export function decode(text: string, base: State): State {
  const patch: Record<string, unknown> = {}
  for (const [key, value] of new URLSearchParams(text)) {
    const read = Object.hasOwn(READERS, key) ? READERS[key as keyof State](value) : undefined
    if (read !== undefined) patch[key] = read
  }
  return changed(base, patch)
}
