/** Elements are described anew at every change, and the document is mended to look like that. */

export type Handler = (event: never) => void
export type Attribute =
  string | number | boolean | undefined | Handler | Readonly<Record<string, string>>
export type Child = Description | string | false | undefined

export interface Description {
  readonly tag: string
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly children: readonly Child[]
}

/**
 * Describe an element. A boolean attribute is there or not, `on…` is a listener, `style` holds custom
 * properties, which a strict policy lets a script set.
 */
export function h(
  tag: string,
  attributes: Description["attributes"] = {},
  ...children: (Child | Child[])[]
): Description {
  return { tag, attributes, children: children.flat() }
}

const SVG = "http://www.w3.org/2000/svg"

/** Give `parent` these children. Elements stay, with focus and pointer, where tag and `id` do. */
export function patch(parent: Element, children: readonly Child[]): void {
  const wanted = children.filter((child) => child !== false && child !== undefined)
  wanted.forEach((child, index) => {
    const found = parent.childNodes[index] as ChildNode | undefined
    if (typeof child === "string") {
      if (found?.nodeType !== Node.TEXT_NODE) place(parent, document.createTextNode(child), found)
      else if (found.nodeValue !== child) found.nodeValue = child
      return
    }
    const fits =
      found instanceof Element &&
      found.localName === child.tag &&
      found.id === (child.attributes.id ?? "")
    const element = fits ? found : create(parent, child.tag)
    if (!fits) place(parent, element, found)
    dress(element, child.attributes)
    patch(element, child.children)
  })
  while (parent.childNodes.length > wanted.length) parent.lastChild!.remove()
}

function create(parent: Element, tag: string): Element {
  const drawn = tag === "svg" || parent.namespaceURI === SVG
  return drawn ? document.createElementNS(SVG, tag) : document.createElement(tag)
}

function place(parent: Element, node: ChildNode, found: ChildNode | undefined): void {
  if (found) found.replaceWith(node)
  else parent.append(node)
}

function dress(element: Element, attributes: Description["attributes"]): void {
  for (const { name } of [...element.attributes]) {
    if (name !== "style" && attributes[name] === undefined) element.removeAttribute(name)
  }
  for (const name of listeners.get(element) ?? []) {
    if (!(name in attributes)) (element as unknown as Record<string, unknown>)[name] = null
  }
  listeners.set(
    element,
    Object.keys(attributes).filter((name) => name.startsWith("on")),
  )
  for (const [name, value] of Object.entries(attributes)) set(element, name, value)
}

const listeners = new WeakMap<Element, string[]>()

function set(element: Element, name: string, value: Attribute): void {
  if (typeof value === "function") {
    ;(element as unknown as Record<string, Handler>)[name] = value
  } else if (typeof value === "object") {
    for (const [property, text] of Object.entries(value)) {
      ;(element as HTMLElement | SVGElement).style.setProperty(property, text)
    }
  } else if (name === "checked") {
    ;(element as HTMLInputElement).checked = Boolean(value)
  } else if (name === "value" && element instanceof HTMLInputElement) {
    // What someone is typing is theirs until they leave the field.
    if (element !== document.activeElement || element.type === "range")
      element.value = String(value)
  } else if (value === undefined || value === false) {
    element.removeAttribute(name)
  } else {
    const text = value === true ? "" : String(value)
    if (element.getAttribute(name) !== text) element.setAttribute(name, text)
  }
}
