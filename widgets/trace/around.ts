// What stands above and below the rows: what the run does now; and a legend, or what is known of one row.

import { make, write } from "./dom";
import { current } from "./outline";
import { isOver, runOf, type Kind } from "./protocol";
import type { TraceStore } from "./store";
import { count, duration, running, statusWords } from "./words";

const LEGEND: Kind[] = ["queue", "load", "retry", "prefill", "decode", "reasoning", "approval", "tool"];

export class Header {
  readonly element: HTMLElement;
  private readonly status = make("span", "status");
  private readonly who = make("span", "who");
  private readonly time = make("span", "elapsed");

  constructor() {
    const dot = make("span", "dot", { "aria-hidden": "true" });
    this.element = make("header", "header", {}, dot, this.status, this.who, this.time);
  }

  paint({ state, lost, now }: TraceStore): void {
    const run = runOf(state);
    write(this.status, lost && !isOver(state) ? "Lost" : statusWords(current(state.rows)));
    write(this.who, [run?.who, run?.detail].filter(Boolean).join(" · "));
    if (run === undefined) write(this.time, "");
    else write(this.time, run.end === null ? running(now - run.start) : duration(run.end - run.start));
  }
}

export class Footer {
  readonly element: HTMLElement;
  private readonly legend = make("span", "legend");
  private readonly told = make("span", "told", { "aria-hidden": "true" });
  private painted = "";

  constructor() {
    this.element = make("footer", "footer", {}, this.legend, this.told);
  }

  /** `late` is how many rows came after the run's end. */
  paint({ state }: TraceStore, late: number): void {
    const kinds = new Set(state.rows.map((row) => row.kind));
    const keys = LEGEND.filter((kind) => kinds.has(kind));
    const shown = [...keys, late].join(" ");
    if (this.painted === shown) return;
    this.painted = shown;
    this.legend.replaceChildren(...keys.map((kind) => make("span", "key", { "data-kind": kind }, kind)));
    if (late > 0) this.legend.append(make("span", "late", {}, `${count(late, "more span")} after the run's end`));
  }

  /** Say what is known of a row; with nothing to say, the legend is there. */
  tell(words: string): void {
    write(this.told, words);
    this.legend.hidden = words !== "";
  }
}
