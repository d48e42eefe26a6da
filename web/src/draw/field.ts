/** A part of the plane with arrows, a path through it, and a start that can be moved. */
import { h, type Child, type Description } from "../dom.ts"
import type { Place } from "../maths.ts"
import { PALETTE } from "../colours.ts"
import { through } from "./chart.ts"

export interface Field {
  readonly title: string
  /** What stands behind everything, in pixels. */
  readonly ground: readonly Child[]
  readonly width: number
  readonly height: number
  readonly toPixels: (place: Place) => Place
  readonly fromPixels: (pixels: Place) => Place
  /** From where to which direction; lengths are relative. */
  readonly arrows: readonly { readonly at: Place; readonly along: Place }[]
  readonly path: readonly Place[]
  readonly start: {
    readonly text: string
    readonly step: number
    readonly move: (place: Place) => void
    /** Called when a drag begins, and when it has ended. */
    readonly hold?: (on: boolean) => void
  }
}

const LONGEST = 17

export function field({
  title,
  ground,
  width,
  height,
  toPixels,
  fromPixels,
  arrows,
  path,
  start,
}: Field): Description {
  const points = path.map(toPixels)
  const [x, y] = points[0]
  const end = points[points.length - 1]
  const toPointer = (event: PointerEvent): void => {
    const svg = (event.currentTarget as Element).closest("svg")!
    const box = svg.getBoundingClientRect()
    start.move(
      fromPixels([
        ((event.clientX - box.left) * width) / box.width,
        ((event.clientY - box.top) * height) / box.height,
      ]),
    )
  }
  const moves: Record<string, Place> = {
    ArrowLeft: [-start.step, 0],
    ArrowRight: [start.step, 0],
    ArrowUp: [0, start.step],
    ArrowDown: [0, -start.step],
  }
  const handle = h(
    "g",
    {
      class: "start",
      role: "slider",
      tabindex: 0,
      "aria-label": `${title}: the start`,
      "aria-roledescription": "point",
      "aria-valuenow": path[0][0].toFixed(3),
      "aria-valuemin": -1e7,
      "aria-valuemax": 1e7,
      "aria-valuetext": start.text,
      onkeydown(event: KeyboardEvent) {
        const by = moves[event.key]
        if (!by) return
        event.preventDefault()
        start.move([path[0][0] + by[0], path[0][1] + by[1]])
      },
    },
    h("circle", { class: "grip", cx: x, cy: y, r: 18 }),
    h("circle", { class: "ring", cx: x, cy: y, r: 7, stroke: PALETTE[3] }),
  )
  return h(
    "svg",
    {
      class: "field",
      role: "group",
      "aria-label": title,
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      onpointerdown(event: PointerEvent) {
        // A finger that does not take the start scrolls the page.
        if (event.pointerType === "touch" && !(event.target as Element).closest(".start")) return
        ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
        start.hold?.(true)
        toPointer(event)
      },
      onpointerup: () => start.hold?.(false),
      onpointercancel: () => start.hold?.(false),
      onpointermove: (event: PointerEvent) =>
        (event.currentTarget as Element).hasPointerCapture(event.pointerId) && toPointer(event),
    },
    ...ground,
    h("path", { class: "arrows", d: drawnArrows(arrows, toPixels) }),
    h("path", { class: "line", d: through(points), stroke: PALETTE[3] }),
    h("circle", { cx: end[0], cy: end[1], r: 4.5, fill: PALETTE[3] }),
    handle,
  )
}

/** Draw arrows; a short one has the length of a root of its share, so that it is still seen. */
function drawnArrows(arrows: Field["arrows"], toPixels: Field["toPixels"]): string {
  const drawn = arrows.map(({ at, along }) => {
    const [x, y] = toPixels(at)
    const [u, v] = toPixels([at[0] + along[0] * 1e-3, at[1] + along[1] * 1e-3])
    return { x, y, dx: (u - x) * 1e3, dy: (v - y) * 1e3 }
  })
  const longest = Math.max(...drawn.map(({ dx, dy }) => Math.hypot(dx, dy)))
  return drawn
    .map(({ x, y, dx, dy }) => {
      const size = Math.hypot(dx, dy)
      const length = size < 1e-9 || !longest ? 0 : LONGEST * Math.cbrt(size / longest)
      if (length < 1.5) return `M${x.toFixed(1)} ${y.toFixed(1)}h.01`
      const [a, b] = [dx / size, dy / size]
      const tip: Place = [x + (a * length) / 2, y + (b * length) / 2]
      const barb = (side: number): string =>
        `M${(tip[0] - 4 * a + side * 2.5 * b).toFixed(1)} ${(tip[1] - 4 * b - side * 2.5 * a).toFixed(1)}L${tip[0].toFixed(1)} ${tip[1].toFixed(1)}`
      return `M${(x - (a * length) / 2).toFixed(1)} ${(y - (b * length) / 2).toFixed(1)}L${tip[0].toFixed(1)} ${tip[1].toFixed(1)}${barb(1)}${barb(-1)}`
    })
    .join("")
}
