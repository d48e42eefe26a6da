/** The colours of softgrad's drawings: the same stops and the same palette as in the report. */

export const PALETTE = ["#2b7bc4", "#d2570d", "#0c8f6d", "#a05cc4", "#a87a08", "#c94f86"] as const

type Colour = readonly [number, number, number]

const ZERO: Colour = [0xf7, 0xf7, 0xf5]
const ORANGE: readonly Colour[] = [ZERO, [0xf9, 0xb3, 0x73], [0xd0, 0x5e, 0x14]]
const BLUE: readonly Colour[] = [ZERO, [0x94, 0xbe, 0xea], [0x3a, 0x7b, 0xc8]]

/** Blue for −limit and below, near-white for exactly 0, orange for limit and above. */
export function diverging(value: number, limit: number): string {
  const share = Math.min(Math.abs(value) / (limit || 1), 1)
  const stops = value > 0 ? ORANGE : BLUE
  const [low, high, t] =
    share < 0.5 ? [stops[0], stops[1], 2 * share] : [stops[1], stops[2], 2 * share - 1]
  return `rgb(${low.map((from, i) => Math.round(from + t * (high[i] - from))).join(" ")})`
}
