// For tests: states as the kernel would send them.

import type { RunState } from "./protocol";

export function state(changes: Partial<RunState> = {}): RunState {
  return {
    seq: 0,
    run_id: "run-1",
    status: "starting",
    model: "SmolLM2",
    engine: "llamacpp",
    note: "",
    queue_position: null,
    load: null,
    prefill: null,
    text: "",
    reasoning: "",
    rate: null,
    stats: null,
    error: null,
    finish_reason: null,
    ...changes,
  };
}
