/** How numbers are written: as everywhere in softgrad, with a true minus sign. */
export function pretty(value: number, figures = 4): string {
  if (Number.isNaN(value)) return "NaN"
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞"
  if (value === 0) return "0"
  const kept = Number(value.toPrecision(figures))
  const exponent = Math.floor(Math.log10(Math.abs(kept)) + 1e-12)
  const plain = exponent >= -4 && exponent < 4
  const [mantissa, power] = (plain ? kept.toPrecision(4) : kept.toExponential(3)).split("e")
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa
  return (power === undefined ? short : `${short}e${Number(power)}`).replaceAll("-", "−")
}

/** A number that is nearly ±1 is told apart from it. */
export function told(value: number, figures = 4): string {
  const rest = 1 - Math.abs(value)
  const text = pretty(value, figures)
  return rest && Math.abs(Number(value.toPrecision(figures))) === 1
    ? `${text} but for ${pretty(rest, 2)}`
    : text
}

export const tuple = (values: readonly number[], figures = 4): string =>
  `(${values.map((x) => pretty(x, figures)).join(", ")})`

/** "class 1", "classes 0 and 2", "classes 0, 1 and 2". */
export function listed(noun: string, places: readonly number[]): string {
  const [last, ...before] = [...places].reverse()
  if (!before.length) return `${noun} ${last}`
  return `${noun}${noun.endsWith("s") ? "es" : "s"} ${before.reverse().join(", ")} and ${last}`
}
