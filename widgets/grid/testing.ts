// For tests: states as the kernel would send them.

import type { Cell, Factor, GridState } from "./protocol";

export function cell(changes: Partial<Cell> = {}): Cell {
  return {
    place: [0],
    prompt: 0,
    status: "starting",
    share: null,
    text: "",
    reasoning: "",
    calls: [],
    model: "",
    tokens: 0,
    rate: null,
    time_to_first_token: null,
    summary: "",
    error: null,
    finish_reason: null,
    scores: {},
    again: 0,
    ...changes,
  };
}

/** A state with a cell for each combination of the factors' levels. */
export function state(factors: Record<string, string[]>, changes: Partial<GridState> = {}): GridState {
  const list: Factor[] = Object.entries(factors).map(([name, levels]) => ({ name, levels }));
  const places = list.reduce<number[][]>((all, { levels }) => all.flatMap((place) => levels.map((_, level) => [...place, level])), [[]]);
  const [first, ...rest] = list.map((factor) => factor.name);
  return {
    seq: 0,
    id: "comparison-1",
    factors: list,
    rows: first === undefined ? [] : [first],
    columns: rest,
    prompts: [{ text: "Why is the sky blue?", more: 0 }],
    progress: { done: 0, failed: 0, total: places.length, tokens: 0, rate: null, left: null, time: null },
    cells: places.map((place) => cell({ place })),
    ...changes,
  };
}

export function numbered(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, number) => `${name} ${number}`);
}

/** All cells have answered. */
export function answered(factors: Record<string, string[]>, text: (index: number) => string): GridState {
  const made = state(factors);
  made.cells.forEach((each, index) => Object.assign(each, { status: "done", text: text(index), finish_reason: "stop" }));
  made.progress.done = made.progress.total;
  return made;
}
