/** What a view is: a story about the state, told in a picture, in a sentence and in Python. */
import type { Child } from "../dom.ts"
import type { Patch, State, ViewName } from "../state.ts"

export interface Page {
  readonly set: (patch: Patch) => void
  /** How wide a drawing may be, in pixels. */
  readonly room: number
  readonly play: () => void
  readonly playing: boolean
}

/** A state that is worth seeing, under the name of what is to be seen. */
export interface Preset {
  readonly name: string
  readonly state: (state: State) => Patch
}

/** A question about a change, which is made when somebody has answered. */
export interface Question {
  readonly ask: string
  readonly options: readonly string[]
  readonly right: number
  readonly change: (state: State) => Patch
  readonly answer: string
}

export interface View {
  readonly name: ViewName
  readonly tab: string
  readonly title: string
  readonly lead: string
  readonly presets: readonly Preset[]
  readonly question: Question
  /** What is to be seen, from its numbers. */
  readonly summary: (state: State) => string
  /** The same in Python; `data-python` of a number is an expression of its names. */
  readonly python: (state: State) => string
  readonly body: (state: State, page: Page) => Child[]
}
