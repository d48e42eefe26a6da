/** The page as a widget of anywidget: Python knows what is seen, and what Python sets is seen. */
import { call, type Said } from "./line.ts"

/** What is used of anywidget's model, which keeps both ends alike. */
interface Model {
  get(name: "page" | "address"): string
  set(name: "address", value: string): void
  save_changes(): void
  on(event: "change:address", heard: () => void): void
  off(event: "change:address", heard: () => void): void
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const frame = document.createElement("iframe")
  frame.title = "softgrad explorer"
  // It may run its own script and nothing else.
  frame.setAttribute("sandbox", "allow-scripts")
  Object.assign(frame.style, { border: "0", width: "100%", height: "1000px" })
  frame.srcdoc = model.get("page")

  let speak: (address: string) => void = () => {}
  let last = ""
  const hear = ({ address, height }: Said): void => {
    frame.style.height = `${height}px`
    last = address
    model.set("address", address)
    model.save_changes()
  }
  const tell = (): void => {
    // What the page has just said itself it need not hear: it may be further on.
    if (model.get("address") !== last) speak(model.get("address"))
  }
  // A notebook that moves a frame loads it anew.
  frame.onload = () => {
    speak = call(frame, hear)
    last = ""
    tell()
  }
  model.on("change:address", tell)
  el.append(frame)
  return () => model.off("change:address", tell)
}

export default { render }
