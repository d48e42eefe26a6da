/** Numbers and arrays as Python writes them. */
import type { Vector } from "./maths.ts"

/** A float: `2.0`, `1e-07`; the shortest digits that give the same number, as in both languages. */
export function float(value: number): string {
  const text = String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}

export const array = (values: Vector): string => `np.array([${values.map(float).join(", ")}])`

/** Lines of a program, the imports before them. */
export const program = (...lines: (string | false)[]): string =>
  [
    "import numpy as np",
    "import softgrad as sg",
    "",
    ...lines.filter((line) => line !== false),
  ].join("\n")
