// For tests: rows as the kernel would send them.

import type { Row, TraceState } from "./protocol";

export function row(id: number, changes: Partial<Row> = {}): Row {
  return {
    id,
    parent: id === 0 ? null : 0,
    kind: id === 0 ? "run" : "step",
    step: id === 0 ? null : 0,
    label: id === 0 ? "run" : "step 0",
    detail: "",
    start: 0,
    end: null,
    status: "open",
    ...changes,
  };
}

export function state(rows: Row[] = [], changes: Partial<TraceState> = {}): TraceState {
  return { seq: 0, now: 3, rows, ...changes };
}

const ENDED = { status: "ok" } as const;

/** A run of one step that has called a tool, and goes on. */
export function begun(): Row[] {
  return [
    row(0, { who: "SmolLM2 · llamacpp" }),
    row(1, { start: 0.1 }),
    row(2, { parent: 1, kind: "prefill", label: "prefill", start: 0.1, end: 0.5, detail: "36 tokens · 90.0/s", said: "36 tokens at 90 tokens/s", ...ENDED }),
    row(3, { parent: 1, kind: "decode", label: "decode", start: 0.5, end: 1.7, detail: "84 tokens · 70.0/s", said: "84 tokens at 70 tokens/s", ...ENDED }),
    row(4, { parent: 1, kind: "tool", label: "tool · get_weather", start: 1.8, detail: '{"city": "Tokyo"}' }),
  ];
}

/** A run of so many steps, of five spans each, that goes on. */
export function long(steps: number): Row[] {
  const rows = [row(0)];
  for (let step = 0; step < steps; step++) {
    const id = rows.length;
    const kinds = ["prefill", "decode", "approval", "tool"] as const;
    rows.push(row(id, { step, label: `step ${step}`, start: step, end: step + 0.9, ...ENDED }));
    kinds.forEach((kind, index) => {
      const times = { start: step + 0.2 * index, end: step + 0.2 * index + 0.1 };
      rows.push(row(id + 1 + index, { parent: id, kind, step, label: kind, ...times, ...ENDED }));
    });
  }
  return rows;
}
