/** The frame around a view: logits, tabs, presets, the question, the program. */
import { bars, limitOf } from "./draw/bars.ts"
import { button, choice } from "./draw/parts.ts"
import { h, type Child, type Description } from "./dom.ts"
import { FEWEST, MOST, THEMES, vector, VIEWS, type Patch, type State } from "./state.ts"
import { check } from "./views/check.ts"
import { follow } from "./views/follow.ts"
import { forward } from "./views/forward.ts"
import { heads } from "./views/heads.ts"
import { hidden } from "./views/hidden.ts"
import { jacobianView } from "./views/jacobian.ts"
import type { Page, View } from "./views/view.ts"

const VIEW_OF: Readonly<Record<State["view"], View>> = {
  forward,
  heads,
  jacobian: jacobianView,
  follow,
  hidden,
  check,
}

/** What the page remembers beside the state: it is not worth an address. */
export interface Session {
  /** The answer that was given to the view's question. */
  readonly answered?: number
  /** What was typed as logits and cannot be read. */
  readonly misread?: string
  readonly copied?: boolean
  /** Whether somebody holds something: the summary is read out once they let go. */
  readonly busy: boolean
}

export interface Frame extends Page {
  readonly session: Session
  readonly remember: (session: Partial<Session>) => void
  readonly copy: (text: string) => void
}

export function page(state: State, frame: Frame): Child[] {
  const view = VIEW_OF[state.view]
  return [
    h(
      "header",
      {},
      h(
        "div",
        {},
        h("h1", {}, "The softmax layer and its gradient"),
        h("p", { class: "quiet" }, "Drag something. Every number has its line of Python."),
      ),
      choice(
        "Theme",
        THEMES.map((name) => [name, name] as const),
        state.theme,
        (theme) => frame.set({ theme }),
      ),
    ),
    tabs(state, frame),
    h("main", {}, logits(state, frame), panel(view, state, frame)),
    h(
      "footer",
      {},
      "softgrad explorer. One file: it loads nothing and sends nothing. The address holds what you see.",
    ),
  ]
}

function tabs(state: State, { set }: Frame): Description {
  const at = VIEWS.indexOf(state.view)
  const moves: Record<string, number> = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    Home: 0,
    End: VIEWS.length - 1,
  }
  const onkeydown = (event: KeyboardEvent): void => {
    if (!(event.key in moves)) return
    event.preventDefault()
    const name = VIEWS[(moves[event.key] + VIEWS.length) % VIEWS.length]
    set({ view: name })
    document.getElementById(`tab-${name}`)!.focus()
  }
  return h(
    "nav",
    {},
    h(
      "div",
      { role: "tablist", "aria-label": "Views", onkeydown },
      ...VIEWS.map((name) =>
        button(VIEW_OF[name].tab, () => set({ view: name }), {
          role: "tab",
          id: `tab-${name}`,
          "aria-selected": name === state.view ? "true" : "false",
          "aria-controls": "view",
          tabindex: name === state.view ? 0 : -1,
        }),
      ),
    ),
  )
}

/** What all views share. */
function logits(state: State, { set, session, remember }: Frame): Description {
  const K = state.z.length
  const read = (event: Event): void => {
    const text = (event.target as HTMLInputElement).value
    const z = vector(text)
    remember({ misread: z ? undefined : text })
    if (z) set({ z })
  }
  const move = (k: number, value: number): void =>
    set({ z: state.z.map((x, j) => (j === k ? value : x)) })
  const change = (z: Patch["z"]): void => set({ z })
  return h(
    "section",
    { class: "logits", "aria-labelledby": "logits-title" },
    h("h2", { id: "logits-title" }, "The logits"),
    bars({
      title: "Logits",
      values: state.z,
      limit: limitOf(state.z, 5),
      signed: true,
      tone: "plain",
      label: (k) => `z[${k}]`,
      figures: 3,
      drag: move,
    }),
    choice(
      "Target class",
      state.z.map((_, k) => [String(k), String(k)] as const),
      String(state.t),
      (t) => set({ t: Number(t) }),
    ),
    h(
      "label",
      { class: "field" },
      h("span", {}, "z ="),
      h("input", {
        type: "text",
        id: "z",
        spellcheck: "false",
        autocomplete: "off",
        onchange: read,
        value: session.misread ?? state.z.join(", "),
        "aria-invalid": session.misread !== undefined ? "true" : undefined,
        "aria-describedby": "z-help",
      }),
    ),
    h(
      "p",
      { class: session.misread === undefined ? "quiet" : "bad", id: "z-help" },
      `${FEWEST} to ${MOST} numbers with commas between them`,
    ),
    h(
      "div",
      { class: "buttons" },
      button("Add a class", () => change([...state.z, 0]), { id: "add", disabled: K === MOST }),
      button("Remove one", () => change(state.z.slice(0, -1)), {
        id: "remove",
        disabled: K === FEWEST,
      }),
    ),
  )
}

function panel(view: View, state: State, frame: Frame): Description {
  return h(
    "section",
    { id: "view", role: "tabpanel", "aria-labelledby": `tab-${view.name}` },
    h("h2", {}, view.title),
    h("p", { class: "lead" }, view.lead),
    h(
      "div",
      { class: "presets", role: "group", "aria-label": "Stories" },
      ...view.presets.map(({ name, state: patch }) =>
        button(name, () => frame.set(patch(state)), { class: "preset" }),
      ),
    ),
    h(
      "p",
      {
        id: "summary",
        role: "status",
        "aria-live": "polite",
        "aria-busy": frame.session.busy || frame.playing ? "true" : "false",
      },
      view.summary(state),
    ),
    h("div", { class: "body", id: `body-${view.name}` }, ...view.body(state, frame)),
    question(view, state, frame),
    program(view, state, frame),
  )
}

function question(view: View, state: State, { session, set, remember }: Frame): Description {
  const { ask, options, right, change, answer } = view.question
  const chosen = session.answered
  const give = (index: number): void => {
    set(change(state))
    remember({ answered: index })
  }
  return h(
    "section",
    { class: "question", "aria-labelledby": "question" },
    h("h3", { id: "question" }, "Predict, then see"),
    h("p", {}, ask),
    h(
      "div",
      { class: "buttons" },
      ...options.map((option, index) =>
        button(option, () => give(index), { "aria-pressed": chosen === index ? "true" : "false" }),
      ),
    ),
    h(
      "p",
      { class: "answer", role: "status" },
      chosen === undefined
        ? undefined
        : h("strong", {}, chosen === right ? "Yes. " : `No: ${options[right].toLowerCase()}. `),
      chosen === undefined ? undefined : answer,
    ),
  )
}

function program(view: View, state: State, { session, copy }: Frame): Description {
  const text = view.python(state)
  return h(
    "section",
    { class: "python", "aria-labelledby": "python" },
    h(
      "div",
      { class: "heading" },
      h("h3", { id: "python" }, "The same in Python"),
      button(session.copied ? "Copied" : "Copy as Python", () => copy(text), { id: "copy" }),
    ),
    h("pre", { id: "program", tabindex: 0 }, text),
  )
}
