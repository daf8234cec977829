// The words for a comparison's state and for its cells'.

import { visible } from "../shared/visible";
import type { Cell, GridState, Progress } from "./protocol";

const STATUS: Record<Cell["status"], string> = {
  starting: "Waiting",
  loading: "Loading",
  queued: "Queued",
  prefill: "Reading",
  decoding: "Answering",
  approval: "Waiting for you",
  tools: "Running tools",
  done: "Done",
  cancelled: "Stopped",
  error: "Failed",
};

export function statusWords(cell: Cell, lost = false): string {
  if (lost) return "Lost";
  if (cell.status === "decoding" && cell.text === "" && cell.reasoning !== "") return "Reasoning";
  if (cell.status === "done" && cell.finish_reason === "length") return "Cut at the limit";
  const share = cell.share === null || (cell.status !== "loading" && cell.status !== "prefill") ? "" : ` ${cell.share} %`;
  return `${STATUS[cell.status]}${share}`;
}

/** Rate and time to first token, short enough for a cell's head. */
export function figures({ rate, time_to_first_token: first }: Cell): string {
  return [rate === null ? "" : `${digits(rate)} t/s`, first === null ? "" : `${seconds(first)} first`]
    .filter((part) => part !== "")
    .join(" · ");
}

export function scoreWords({ scores }: Cell): [string, string][] {
  return Object.entries(scores).map(([name, value]) => [visible(name), number(value)]);
}

export function progressWords({ progress }: GridState, lost = false): string {
  const { done, total, failed, left, time } = progress;
  const parts = [
    `${done.toLocaleString("en")} of ${total.toLocaleString("en")} done`,
    failed > 0 ? `${failed} failed` : "",
    lost ? "the kernel was restarted" : rateWords(progress),
    !lost && left !== null ? `about ${duration(left)} left` : "",
    time !== null ? duration(time) : "",
  ];
  return parts.filter((part) => part !== "").join(" · ");
}

/** Seconds in a unit that suits them. */
export function duration(time: number): string {
  if (time < 9.95) return `${time.toFixed(1)} s`;
  if (time < 90) return `${Math.round(time)} s`;
  const minutes = Math.round(time / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

/** A level's label on one line with nothing hidden. */
export function labelOf(text: string): string {
  return visible(text.replace(/\s+/g, " ").trim()) || "(empty)";
}

function rateWords({ rate }: Progress): string {
  return rate === null ? "" : `${digits(rate)} tokens/s`;
}

function digits(rate: number): string {
  return rate.toFixed(rate < 10 ? 1 : 0);
}

function seconds(time: number): string {
  return time < 0.9995 ? `${Math.round(1000 * time)} ms` : `${time.toFixed(time < 10 ? 1 : 0)} s`;
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}
