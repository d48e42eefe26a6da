/** A small matrix as coloured cells, each with its number. */
import { h, type Description } from "../dom.ts"
import type { Matrix } from "../maths.ts"
import { diverging } from "../colours.ts"
import { pretty } from "../numbers.ts"

export interface Cells {
  readonly title: string
  readonly values: Matrix
  /** What has the full colour. */
  readonly limit: number
  readonly rows: readonly string[]
  readonly columns: readonly string[]
  readonly python: (i: number, j: number) => string
  /** Sums beside the rows, and how Python has them. */
  readonly sums?: { readonly values: readonly number[]; readonly python: (i: number) => string }
  /** The cell that is looked at, and how another one is. */
  readonly look?: {
    readonly row: number
    readonly column: number
    readonly at: (i: number, j: number) => void
  }
}

export function cells({
  title,
  values,
  limit,
  rows,
  columns,
  python,
  sums,
  look,
}: Cells): Description {
  const figures = look ? 4 : 2
  const head = h(
    "tr",
    {},
    h("td"),
    ...columns.map((name) => h("th", { scope: "col" }, name)),
    sums && h("th", { scope: "col", class: "sum" }, "row sum"),
  )
  const body = values.map((row, i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, rows[i]),
      ...row.map((value, j) => {
        const data = {
          "data-value": String(value),
          "data-python": python(i, j),
          style: { background: diverging(value, limit) },
        }
        return look
          ? h(
              "td",
              {},
              h(
                "button",
                {
                  type: "button",
                  ...data,
                  ...looking(look, i, j, values.length),
                  "aria-label": `${rows[i]}${columns[j]}: ${pretty(value)}`,
                },
                pretty(value),
              ),
            )
          : h("td", {}, h("span", data, pretty(value, figures)))
      }),
      sums &&
        h(
          "td",
          { class: "sum" },
          h(
            "data",
            { value: String(sums.values[i]), "data-python": sums.python(i) },
            pretty(sums.values[i]),
          ),
        ),
    ),
  )
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    h(
      "table",
      { class: look ? "cells large" : "cells" },
      h("caption", {}, title),
      h("thead", {}, head),
      h("tbody", {}, ...body),
    ),
  )
}

/** Hovering and the arrow keys look at a cell; only that one is in the order of the tab key. */
function looking(
  look: NonNullable<Cells["look"]>,
  i: number,
  j: number,
  K: number,
): Description["attributes"] {
  const chosen = i === look.row && j === look.column
  const moves: Record<string, readonly [number, number]> = {
    ArrowUp: [i - 1, j],
    ArrowDown: [i + 1, j],
    ArrowLeft: [i, j - 1],
    ArrowRight: [i, j + 1],
  }
  return {
    tabindex: chosen ? 0 : -1,
    "aria-pressed": chosen ? "true" : "false",
    onpointerenter: () => look.at(i, j),
    onfocus: () => look.at(i, j),
    onkeydown(event: KeyboardEvent) {
      const [row, column] = moves[event.key] ?? [-1, -1]
      if (row < 0 || column < 0 || row >= K || column >= K) return
      event.preventDefault()
      const table = (event.currentTarget as Element).closest("table")!
      table.querySelectorAll<HTMLElement>("tbody button")[row * K + column].focus()
    },
  }
}
