// What the kernel and the grid say to each other. The Python side is llmkit/notebook/grid_state.py (the state),
// grid_view.py (what pages say) and grid_judge.py (judging).

import type { Cut } from "../shared/protocol";

export type Status =
  | "starting"
  | "loading"
  | "queued"
  | "prefill"
  | "decoding"
  | "approval"
  | "tools"
  | "done"
  | "cancelled"
  | "error";

export interface Factor {
  name: string;
  levels: string[];
}

export interface Cell {
  /** The number of its level of each factor. */
  place: number[];
  /** Which of the prompts. */
  prompt: number;
  status: Status;
  /** Of loading or of reading the prompt, in percent. */
  share: number | null;
  text: string;
  reasoning: string;
  /** A line for each tool call. */
  calls: string[];
  model: string;
  tokens: number;
  /** Tokens per second: while decoding as the pieces come in, then as measured. */
  rate: number | null;
  /** Seconds. */
  time_to_first_token: number | null;
  summary: string;
  error: { kind: string; code: string; message: string } | null;
  finish_reason: string | null;
  scores: Record<string, number>;
  again: number;
}

export interface Progress {
  done: number;
  failed: number;
  total: number;
  tokens: number;
  /** Tokens per second of all cells together. */
  rate: number | null;
  /** Seconds left, and seconds that it took. */
  left: number | null;
  time: number | null;
}

export interface GridState {
  seq: number;
  id: string;
  factors: Factor[];
  rows: string[];
  columns: string[];
  prompts: Cut[];
  progress: Progress;
  cells: Cell[];
}

/** A cell's change: fields to set, then what to append. */
export interface CellPatch {
  cell: number;
  set?: Partial<Cell>;
  text?: string;
  reasoning?: string;
}

/** The change from the state numbered `seq - 1` to the one numbered `seq`. */
export interface Patch {
  kind: "patch";
  seq: number;
  set?: Partial<Pick<GridState, "progress" | "rows" | "columns">>;
  cells?: CellPatch[];
}

/** Two texts to choose between; nothing tells which cells they are of. */
export interface Pair {
  id: number;
  left: string;
  right: string;
  prompt: string;
  /** The labels that both have. */
  same: Record<string, string>;
}

export interface Tally {
  label: string;
  wins: number;
  losses: number;
  ties: number;
}

/** What a page that judges hears; `page` says which one. */
export type Judged = { page: string } & (
  | { kind: "pair"; pair: Pair; done: number; total: number }
  | { kind: "tally"; levels: Tally[]; total: number }
  | { kind: "problem"; message: string }
);

export type FromKernel = Patch | { kind: "snapshot"; state: GridState } | Judged;

export type Verdict = "left" | "right" | "tie";

export type ToKernel =
  | { kind: "hello" }
  | { kind: "resync" }
  | { kind: "stop"; cell: number }
  | { kind: "rerun"; cell: number }
  | { kind: "stop-all" }
  | { kind: "hold"; held: boolean }
  | { kind: "gone" }
  | { kind: "judge"; page: string; factor: string }
  | { kind: "vote"; page: string; pair: number; verdict: Verdict }
  | { kind: "skip"; page: string; pair: number };

export function isOver({ status }: Pick<Cell, "status">): boolean {
  return status === "done" || status === "cancelled" || status === "error";
}

export function allOver({ progress }: Pick<GridState, "progress">): boolean {
  return progress.done === progress.total;
}
