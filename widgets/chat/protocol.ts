// What the kernel and the front end say to each other. The Python side is llmkit/notebook/chat_view.py; what is said of
// an answer travels in it as ../run/protocol.ts has it.

import type { FromKernel as FromRun, RunState, ToKernel as ToRun } from "../run/protocol";

export interface Turn {
  id: number;
  /** What it replies to. */
  parent: number | null;
  role: "user" | "assistant";
  /** What the user said; an answer's text is in its run. */
  text: string;
}

interface Fields {
  chat_id: string;
  /** The class of the transcript that is saved with the notebook. */
  kept: string;
  model: string;
  tools: string[];
  system: string;
  /** The turns of the conversation as it is now. */
  path: number[];
  /** The answer that is being written. */
  busy: number | null;
}

export interface ChatState extends Fields {
  seq: number;
  /** Of all branches; their ids are their places here. */
  turns: Turn[];
  /** The answers on the path, by their turn's id. */
  runs: Record<string, RunState>;
}

/** The change from the state numbered `seq - 1` to the one numbered `seq`. */
export interface Patch {
  kind: "patch";
  seq: number;
  set: Fields;
  /** Those that are new. */
  turns: Turn[];
}

export type FromKernel =
  | Patch
  | { kind: "snapshot"; state: ChatState }
  | { kind: "turn"; turn: number; message: FromRun }
  /** A request has arrived; nothing is said of what becomes of it. */
  | { kind: "taken"; id: string }
  /** What was asked for can't be. */
  | { kind: "refused"; text: string }
  | { kind: "told"; text: string };

export type Format = "ipynb" | "md" | "json";

/** What a user asks for. */
export type Request =
  | { kind: "send"; text: string }
  | { kind: "edit"; turn: number; text: string }
  | { kind: "regenerate"; turn: number }
  | { kind: "select"; turn: number }
  | { kind: "stop" }
  | { kind: "system"; text: string }
  | { kind: "export"; format: Format };

export type ToKernel =
  | { kind: "hello" }
  | { kind: "resync" }
  | { kind: "gone" }
  | { kind: "turn"; turn: number; message: ToRun }
  | (Request & { id: string });
