// What the kernel and the front end say to each other. The Python side is llmkit/notebook/run_state.py (the state),
// call_state.py (the cards) and panel.py (what the page says about calls).

import type { Cut, Value } from "../shared/protocol";

export type { Cut, Value };

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

export interface Load {
  stage: "fetch" | "load";
  percentage: number | null;
  file: string;
}

export interface Prefill {
  done: number;
  total: number;
  cached: number;
}

export interface Stats {
  /** The numbers in words, for people. */
  summary: string;
  tokens_per_second: number | null;
  time_to_first_token: number | null;
  prompt_tokens: number | null;
  cache_tokens: number | null;
  generated_tokens: number | null;
}

/** What the last step's answer must be, and where in the run's text it begins. */
export interface OutputAsked {
  kind: "json" | "array" | "choice" | "regex" | "grammar" | "text";
  from: number;
}

export interface RunError {
  kind: string;
  code: string;
  message: string;
}

export type CallStatus =
  /** The model is writing it. */
  | "writing"
  /** It is whole and valid; nobody was asked yet. */
  | "made"
  | "pending"
  /** Allowed, and not begun. */
  | "allowed"
  | "running"
  | "done"
  | "failed"
  | "denied"
  | "cancelled"
  /** The run ended without a decision and can be resumed. */
  | "open"
  /** The model's words are no call. */
  | "invalid";

export interface DecisionMade {
  verdict: "allow" | "deny" | "pend" | "cancel";
  by: "panel" | "code" | "rule" | "tool" | "timeout" | "headless" | "cancel";
  reason: string;
  edited: boolean;
  /** Seconds from the request. */
  waited: number | null;
}

export interface Call {
  id: string;
  step: number;
  /** Where in the run's text it comes. */
  at: number;
  name: string;
  description: string;
  status: CallStatus;
  /** The first characters of what the model writes, and how many there are in all. */
  input: string;
  written: number;
  /** JSON text, exact: numbers as Python has them, invisible characters escaped. */
  arguments: string | null;
  short: string;
  /** What a decision must carry. */
  digest: string | null;
  /** Why somebody is asked, when that isn't plain. */
  why: string;
  decision: DecisionMade | null;
  /** JSON text of what it runs with, when that was edited. */
  executed: string | null;
  /** The last few values that a generator yielded, of so many. */
  preliminary: Value[];
  preliminary_count: number;
  result: Value | null;
  error: { kind: string; message: string } | null;
  printed: Cut | null;
  displayed: Value[];
  /** Seconds. */
  duration: number | null;
}

export interface Rule {
  id: string;
  tool: string;
  action: "allow" | "ask" | "deny";
  scope: "run" | "session";
  reason: string;
  /** It looks at the arguments too. */
  conditional: boolean;
}

export interface RunState {
  seq: number;
  run_id: string;
  status: Status;
  model: string;
  engine: string;
  note: string;
  queue_position: number | null;
  load: Load | null;
  prefill: Prefill | null;
  text: string;
  reasoning: string;
  /** In the order in which the model began them. */
  calls: Call[];
  /** In force, the first that fits decides. */
  rules: Rule[];
  /** Tokens per second while decoding, as the pieces come in; `stats` has the measured rate. */
  rate: number | null;
  stats: Stats | null;
  error: RunError | null;
  output: OutputAsked | null;
  /** Why the answer of a run that is done isn't what the output asks for. */
  output_error: RunError | null;
  finish_reason: string | null;
}

/** A card's change: fields to set, then what to append. The `set` of a card that is new holds all of it. */
export interface CallPatch {
  id: string;
  set?: Partial<Call>;
  input?: string;
  preliminary?: Value[];
}

/** The change from the state numbered `seq - 1` to the one numbered `seq`. */
export interface Patch {
  kind: "patch";
  seq: number;
  text?: string;
  reasoning?: string;
  set?: Partial<RunState>;
  calls?: CallPatch[];
}

export interface Snapshot {
  kind: "snapshot";
  state: RunState;
}

/** What became of a decision that a page sent. */
export interface Ruled {
  kind: "ruled";
  call_id: string;
  accepted: boolean;
  refusal: string;
}

export interface Problem {
  field: string;
  message: string;
}

/** What is wrong with edited arguments. */
export interface Checked {
  kind: "checked";
  request_id: string;
  problems: Problem[];
}

export type FromKernel = Patch | Snapshot | Ruled | Checked;

export type Scope = "run" | "session";

export interface Decide {
  kind: "decide";
  call_id: string;
  digest: string;
  verdict: "allow" | "deny";
  reason?: string;
  /** JSON text, when it was edited. */
  arguments?: string;
  /** Make a rule of it. */
  always?: Scope;
}

export type ToKernel =
  | { kind: "hello" }
  | { kind: "resync" }
  | { kind: "stop" }
  | { kind: "gone" }
  /** A page shows what is pending; said every few seconds while something is. */
  | { kind: "here" }
  | { kind: "check"; call_id: string; arguments: string; request_id: string }
  | { kind: "revoke"; rule_id: string }
  | Decide;

export function isOver(status: Status): boolean {
  return status === "done" || status === "cancelled" || status === "error";
}

/** Return the calls that wait for a decision. */
export function pending(state: RunState): Call[] {
  return state.calls.filter((call) => call.status === "pending");
}
