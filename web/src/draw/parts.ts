/** Small pieces that all views are made of. */
import { h, type Child, type Description } from "../dom.ts"
import { pretty } from "../numbers.ts"

/** A number, in four figures for readers and in full for programs, and as what Python knows it. */
export function number(value: number, python?: string, figures = 4): Description {
  return h(
    "data",
    { value: String(value), "data-python": python, title: python },
    pretty(value, figures),
  )
}

export const figure = (title: string, note: string, ...children: Child[]): Description =>
  h("figure", {}, h("h3", {}, title), ...children, h("figcaption", {}, note))

/** One choice of several, as radio buttons in a row. */
export function choice<T extends string>(
  name: string,
  options: readonly (readonly [value: T, label: string])[],
  chosen: T,
  choose: (value: T) => void,
): Description {
  const buttons = options.map(([value, label]) =>
    h(
      "label",
      {},
      h("input", {
        type: "radio",
        name,
        value,
        checked: value === chosen,
        onchange: () => choose(value),
      }),
      h("span", {}, label),
    ),
  )
  return h("fieldset", { class: "choice" }, h("legend", {}, name), h("div", {}, ...buttons))
}

/** A switch that is on or off. */
export const toggle = (label: string, on: boolean, turn: (on: boolean) => void): Description =>
  h(
    "label",
    { class: "toggle" },
    h("input", {
      type: "checkbox",
      role: "switch",
      checked: on,
      onchange: (event: Event) => turn((event.target as HTMLInputElement).checked),
    }),
    h("span", {}, label),
  )

/** A number on a line, dragged or moved by the arrow keys. */
export function range(
  label: string,
  value: number,
  [low, high, step]: readonly [number, number, number],
  move: (value: number) => void,
): Description {
  const oninput = (event: Event): void => move(Number((event.target as HTMLInputElement).value))
  return h(
    "label",
    { class: "range" },
    h("span", {}, label),
    h("input", { type: "range", min: low, max: high, step, value, oninput }),
    h("output", {}, pretty(value)),
  )
}

export const button = (
  label: string,
  press: () => void,
  attributes: Description["attributes"] = {},
): Description => h("button", { type: "button", onclick: press, ...attributes }, label)
