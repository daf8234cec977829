// What the kernel and the front end say to each other. The Python side is llmkit/notebook/run_state.py.

export type Status =
  | "starting"
  | "loading"
  | "queued"
  | "prefill"
  | "decoding"
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

export interface RunError {
  kind: string;
  code: string;
  message: string;
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
  /** Tokens per second while decoding, as the pieces come in; `stats` has the measured rate. */
  rate: number | null;
  stats: Stats | null;
  error: RunError | null;
  finish_reason: string | null;
}

/** The change from the state numbered `seq - 1` to the one numbered `seq`. */
export interface Patch {
  kind: "patch";
  seq: number;
  text?: string;
  reasoning?: string;
  set?: Partial<RunState>;
}

export interface Snapshot {
  kind: "snapshot";
  state: RunState;
}

export type FromKernel = Patch | Snapshot;
export type ToKernel = { kind: "hello" } | { kind: "resync" } | { kind: "stop" } | { kind: "gone" };

export function isOver(status: Status): boolean {
  return status === "done" || status === "cancelled" || status === "error";
}
