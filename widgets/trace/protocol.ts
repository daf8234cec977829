// What the kernel and the timeline say to each other. The Python side is llmkit/notebook/trace_rows.py (the rows),
// trace_details.py (what rows hold when they are unfolded) and trace_view.py (the messages).

import type { Cut, Value } from "../shared/protocol";

export type Kind =
  | "run"
  | "queue"
  | "load"
  | "step"
  | "retry"
  | "prefill"
  | "decode"
  | "reasoning"
  | "call-error"
  | "approval"
  | "tool";

export type Status = "open" | "ok" | "error" | "timeout" | "cancelled" | "denied" | "pending";

/** A span. Ids count from 0, the run's own; times are in seconds since the run's first event. */
export interface Row {
  id: number;
  parent: number | null;
  kind: Kind;
  step: number | null;
  label: string;
  detail: string;
  start: number;
  /** `null` while it goes on. */
  end: number | null;
  status: Status;
  /** What a screen reader says in place of the detail. */
  said?: string;
  /** Of the run: model and engine. */
  who?: string;
}

export interface TraceState {
  /** Counts the messages that changed the rows. */
  seq: number;
  /** When the message was made, on the rows' clock. */
  now: number;
  /** By id. */
  rows: Row[];
}

export interface Patch {
  kind: "patch";
  seq: number;
  now: number;
  /** Those that are new or have changed. */
  rows: Row[];
}

export interface Message {
  role: string;
  parts: ({ label: string } & Cut)[];
}

export type Section = { title: string } & (
  | { kind: "facts"; facts: [string, string][] }
  | ({ kind: "text" } & Cut)
  | { kind: "value"; value: Value }
  | { kind: "messages"; messages: Message[]; earlier: number; most: number }
);

export interface Details {
  kind: "details";
  request_id: string;
  sections: Section[];
}

export type FromKernel = { kind: "snapshot"; state: TraceState } | Patch | Details;

export type ToKernel =
  /** `seq` is what the page has. */
  | { kind: "hello" | "resync"; seq: number }
  | { kind: "details"; span: number; request_id: string; messages?: number }
  | { kind: "gone" };

/** Return the run's own row, if it is there already. */
export function runOf(state: TraceState): Row | undefined {
  return state.rows[0];
}

export function isOver(state: TraceState): boolean {
  const run = runOf(state);
  return run !== undefined && run.status !== "open";
}
