/** A line between the page and whoever shows it in a frame; without one the page speaks to nobody. */

/** What the page says once it rests: all of its state, and how tall it is. */
export interface Said {
  readonly address: string
  readonly height: number
}

/**
 * Take the line that the frame's owner hands in; return how to speak on it. Only who wrote the page
 * into the frame may: who shows a page from elsewhere would learn what is on it.
 */
export function answer(hear: (address: string) => void): (said: Said) => void {
  let line: MessagePort | undefined
  addEventListener("message", ({ source, ports }) => {
    if (location.href !== "about:srcdoc" || source !== parent || !ports.length) return
    line = ports[0]
    line.onmessage = ({ data }) => hear(String(data))
  })
  return (said) => line?.postMessage(said)
}

/** Hand a line to the page in a frame; return how to speak on it. */
export function call(frame: HTMLIFrameElement, hear: (said: Said) => void): (address: string) => void {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = ({ data }) => hear(data)
  frame.contentWindow!.postMessage(null, "*", [port2])
  return (address) => port1.postMessage(address)
}
