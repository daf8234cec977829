// The words for rows and for the run's state. Durations read as in the static picture (llmkit/tracing/words.py).

import type { Line } from "./outline";
import type { Kind, Row, Status } from "./protocol";

const DOING: Partial<Record<Kind, string>> = {
  queue: "Queued",
  load: "Loading",
  retry: "Waiting to try again",
  prefill: "Reading the prompt",
  decode: "Answering",
  reasoning: "Reasoning",
  approval: "Waiting for a decision",
  tool: "Running tools",
};
const ENDED: Partial<Record<Status, string>> = { ok: "Done", error: "Failed", cancelled: "Cancelled" };

/** What the run does, or how it ended; `row` is the one that says so. */
export function statusWords(row: Row | undefined): string {
  if (row === undefined) return "Starting";
  if (row.kind === "run" && row.status !== "open") return ENDED[row.status] ?? "Done";
  return DOING[row.kind] ?? "Running";
}

/** Return seconds in the unit that reads best; nothing for none at all. */
export function duration(seconds: number): string {
  if (seconds <= 0) return "";
  if (seconds < 0.0995) return seconds < 0.00995 ? `${(seconds * 1000).toFixed(1)} ms` : `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.5) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const hours = Math.floor(minutes / 60);
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min ${Math.round(seconds) % 60} s`;
}

/** Return the duration of something that goes on: no more digits than can be read while they change. */
export function running(seconds: number): string {
  return seconds < 99.5 ? `${Math.max(0, seconds).toFixed(1)} s` : duration(seconds);
}

/** Return the words at a tick of the axis. */
export function tickWords(seconds: number): string {
  if (seconds === 0) return "0";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  return seconds < 120 ? `${Number(seconds.toPrecision(3))} s` : `${Number((seconds / 60).toPrecision(3))} min`;
}

/** Return a line's name. */
export function labelWords({ row, gap }: Line): string {
  if (gap === undefined) return row.label;
  return gap.steps > 0 ? count(gap.steps, "earlier step") : count(gap.rows, "earlier span");
}

/** Return how long a line's span took, as far as it goes. */
export function durationWords({ row, gap }: Line, now: number): string {
  if (gap !== undefined) return duration(gap.end - gap.start);
  return row.end === null ? running(now - row.start) : duration(row.end - row.start);
}

/** Return what a screen reader says of a line: ``decode, step 0, 1.20 s, 84 tokens at 70 tokens/s``. */
export function spoken(line: Line, whole: boolean): string {
  const { row, gap } = line;
  if (gap !== undefined) {
    const words = [labelWords(line), count(gap.rows, "span"), duration(gap.end - gap.start)];
    return [...words, whole ? "shown below" : "folded away"].join(", ");
  }
  const step = row.step === null || row.kind === "step" ? "" : `step ${row.step}`;
  const time = row.end === null ? "going on" : duration(row.end - row.start);
  const parts = [row.label, step, time, row.said ?? row.detail].filter((part) => part !== "");
  return parts.join(", ").replaceAll(" · ", ", ");
}

/** Return all that is known of a line in short, for the line below the rows. */
export function told(line: Line, start: number, now: number): string {
  const { row, gap } = line;
  if (gap !== undefined) return `${labelWords(line)} · ${count(gap.rows, "span")}`;
  const from = duration(row.start - start) || "0 s";
  const when = row.end === null ? `since ${from}` : row.end === row.start ? `at ${from}` : `from ${from} to ${duration(row.end - start)}`;
  const step = row.step === null || row.kind === "step" ? "" : `step ${row.step}`;
  return [row.label, step, when, durationWords(line, now), row.detail].filter((part) => part !== "").join(" · ");
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
