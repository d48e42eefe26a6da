/** The state, the address, and the document that shows it. */
import { patch } from "./dom.ts"
import { answer } from "./line.ts"
import { page, type Session } from "./page.ts"
import { changed, decode, DEFAULT, encode, type Patch, type State } from "./state.ts"

const root = document.getElementById("explorer")!
// In a frame the page around it has a title and a theme, and height is dear.
document.documentElement.classList.toggle("framed", parent !== window)
const base = decode(document.documentElement.dataset.start ?? "", DEFAULT)
const still = matchMedia("(prefers-reduced-motion: reduce)")

let state: State = decode(location.hash.slice(1), base)
let session: Session = { busy: false }
// Where a walk ends: at the steps that were last asked for, if they are no fewer than a story's.
const goalOf = ({ steps }: State): number => Math.max(steps, DEFAULT.steps)
let goal = goalOf(state)
let frame = 0
let written = 0

function render(): void {
  document.documentElement.dataset.theme = state.theme
  const outer = root.getBoundingClientRect().width
  // One column where the logits stand above, as in the style sheet.
  const room = Math.max(260, Math.min(704, outer < 900 ? outer - 34 : outer - 360))
  patch(root, page(state, { set, room, play, playing: frame !== 0, session, remember, copy }))
}

/** What somebody does; who changes the steps takes them from the animation. */
function set(change: Patch): void {
  if ("steps" in change || "view" in change) stop()
  if ("view" in change) session = { busy: false }
  show(change)
  if ("steps" in change) goal = goalOf(state)
}

function show(change: Patch): void {
  state = changed(state, change)
  if (change.z) session = { ...session, misread: undefined }
  session = { ...session, copied: false }
  render()
  clearTimeout(written)
  written = setTimeout(write, 100)
}

function remember(change: Partial<Session>): void {
  session = { ...session, ...change }
  render()
}

function write(): void {
  const text = encode(state, base)
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search)
  } catch {
    // A frame without an origin of its own has no address.
  }
  say()
}

function play(): void {
  if (frame) return stop()
  if (still.matches) return set({ steps: goal })
  const from = state.steps >= goal ? 0 : state.steps
  const begin = performance.now()
  const advance = (now: number): void => {
    const steps = Math.min(from + Math.floor(Math.max(now - begin, 0) / 40), goal)
    frame = steps < goal ? requestAnimationFrame(advance) : 0
    show({ steps })
  }
  frame = requestAnimationFrame(advance)
  render()
}

function stop(): void {
  cancelAnimationFrame(frame)
  frame = 0
  render()
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Not allowed in every frame: then it is selected, and copied as of old.
    getSelection()!.selectAllChildren(document.getElementById("program")!)
    document.execCommand("copy")
  }
  remember({ copied: true })
}

// When a pointer is let go, what changed under it is read out, and axes may change.
addEventListener("pointerdown", () => (session = { ...session, busy: true }), true)
addEventListener("pointerup", () => remember({ busy: false }))
addEventListener("pointercancel", () => remember({ busy: false }))
addEventListener("resize", render)
addEventListener("hashchange", () => set(decode(location.hash.slice(1), base)))
const speak = answer((address) => {
  if (address !== encode(state)) set(decode(address, state))
  say()
})
const say = (): void => speak({ address: encode(state), height: root.offsetHeight })
new ResizeObserver(say).observe(root)
render()
// What the address asked for in vain is not left in it.
write()
