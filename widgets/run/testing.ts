// For tests: states as the kernel would send them.

import type { Call, RunState } from "./protocol";

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
    calls: [],
    rules: [],
    rate: null,
    stats: null,
    error: null,
    output: null,
    output_error: null,
    finish_reason: null,
    ...changes,
  };
}

/** A call that waits for a decision. */
export function call(changes: Partial<Call> = {}): Call {
  return {
    id: "call-1",
    step: 0,
    at: 0,
    name: "get_weather",
    description: "Current weather for a city.",
    status: "pending",
    input: "",
    written: 0,
    arguments: '{"city": "Tokyo"}',
    short: 'city: "Tokyo"',
    digest: "d1",
    why: "",
    decision: null,
    executed: null,
    preliminary: [],
    preliminary_count: 0,
    result: null,
    error: null,
    printed: null,
    displayed: [],
    duration: null,
    ...changes,
  };
}
