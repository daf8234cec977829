// What the kernel and the front end say to each other. The Python side is llmkit/notebook/playground_view.py.

import type { FromKernel as AnswerFromKernel, RunState, ToKernel as AnswerToKernel } from "../run/protocol";

export interface Slider {
  least: number;
  most: number;
  step: number;
}

export interface Control {
  /** The setting's own name. */
  name: string;
  kind: "number" | "integer" | "switch" | "strings" | "pairs";
  slider: Slider | null;
  /** Whether `none` is a value. */
  optional: boolean;
  help: string;
}

/** What is filled in, as text; an empty one leaves it to the session. */
export interface Form {
  prompt: string;
  system: string;
  model: string;
  fields: Record<string, string>;
}

export interface Entry {
  id: string;
  prompt: string;
  changes: string;
  /** Tokens per second. */
  rate: number | null;
  status: "running" | "done" | "cancelled" | "error";
}

export interface PlaygroundState {
  seq: number;
  playground_id: string;
  /** The class of the output that a saved notebook keeps. */
  kept: string;
  controls: Control[];
  models: string[];
  /** What holds where nothing is set. */
  own: { model: string; system: string; fields: Record<string, string> };
  form: Form;
  /** Whose edit the form has last, and the how-manieth of that page. */
  edited: { page: string; count: number };
  /** By the name of the control; "" is for what is no control's. */
  errors: Record<string, string>;
  runs: Entry[];
  /** The run whose answer is shown. */
  shown: string | null;
  code: string;
  answer: RunState | null;
}

export type Changes = Partial<Form>;

export interface Patch {
  kind: "patch";
  seq: number;
  set: Partial<PlaygroundState>;
}

export type FromKernel =
  | Patch
  | { kind: "snapshot"; state: PlaygroundState }
  /** What the shown run's view tells its pages. */
  | { kind: "answer"; run: string; message: AnswerFromKernel };

export type ToKernel =
  | { kind: "hello" | "resync" | "gone" | "run" | "stop" }
  | { kind: "edit"; page: string; count: number; form: Changes }
  | { kind: "choose"; run: string }
  | { kind: "answer"; run: string; message: AnswerToKernel };
