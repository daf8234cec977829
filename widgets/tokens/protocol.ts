// What the kernel and the page say to each other: llmkit/notebook/tokens_state.py and tokens_view.py in TypeScript.

export type By = "probability" | "entropy";

/** An alternative: its id, text and probability. */
export type Other = [id: number, text: string, p: number | null];

export interface Token {
  /** Nothing in it hides: a line break is ⏎ and a line break. */
  text: string;
  p: number | null;
  bits: number | null;
  /** Its place among the alternatives; null if it is none of them. */
  rank: number | null;
  id: number;
  others: Other[];
}

export interface Lane {
  id: string;
  title: string;
  /** The lane that it left, at which of its tokens, and which of its own comes there; null for the first lane. */
  parent: number | null;
  at: number | null;
  own: number | null;
  /** The token that was put there, and its probability. */
  token: string;
  share: number | null;
  status: "running" | "done" | "cancelled" | "failed";
  error: string;
  branching: boolean;
  tokens: Token[];
  /** Its tokens from the branch on that its parent hasn't, as ranges [from, to). */
  changed: [number, number][];
}

export interface TokensState {
  seq: number;
  by: By;
  lanes: Lane[];
}

/** A lane that changed: `tokens` are those after the `sent` ones that the page has. */
export interface LaneChange extends Lane {
  number: number;
  sent: number;
}

export type FromKernel =
  | { kind: "snapshot"; state: TokensState }
  | { kind: "patch"; seq: number; lanes: LaneChange[] }
  | { kind: "refused"; text: string };

export type ToKernel =
  | { kind: "hello" | "resync" | "gone" }
  | { kind: "keep"; by: By }
  | { kind: "branch"; lane: number; token: number; id: number }
  | { kind: "stop"; lane: number };
