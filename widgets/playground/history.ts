// The runs of the playground, the latest first; choosing one brings back what it was asked with.

import { make, say } from "./dom";
import type { Entry } from "./protocol";

const STATUS: Record<Entry["status"], string> = { running: "running", done: "", cancelled: "stopped", error: "failed" };

export class HistoryView {
  readonly element = make("section", "history", { role: "group", "aria-label": "Runs" });
  private readonly title = make("h4", "title", {}, "Runs");
  private readonly list = make("ol", "runs", { reversed: "" });
  private readonly rows = new Map<string, { item: HTMLElement; button: HTMLButtonElement }>();

  constructor(private readonly choose: (run: string) => void) {
    this.element.append(this.title, this.list);
  }

  update(runs: Entry[], shown: string | null): void {
    this.element.hidden = runs.length === 0;
    const there = new Set(runs.map((run) => run.id));
    for (const [id, row] of this.rows) {
      if (there.has(id)) continue;
      row.item.remove();
      this.rows.delete(id);
    }
    for (const run of runs) this.paint(run, run.id === shown);
  }

  private paint(run: Entry, current: boolean): void {
    const { button } = this.rows.get(run.id) ?? this.add(run.id);
    button.setAttribute("aria-current", String(current));
    button.dataset["status"] = run.status;
    const [prompt, changes, rate] = [...button.children] as [HTMLElement, HTMLElement, HTMLElement];
    say(prompt, run.prompt);
    say(changes, run.changes === "" ? "as the session" : run.changes);
    say(rate, STATUS[run.status] || rateWords(run.rate));
  }

  private add(id: string): { item: HTMLElement; button: HTMLButtonElement } {
    const parts = ["asked", "changes", "rate"].map((name) => make("span", name));
    const title = "Show this answer, and fill in what it was asked with";
    const button = make("button", "run", { type: "button", title }, ...parts);
    button.addEventListener("click", () => this.choose(id));
    const item = make("li", "item", {}, button);
    this.list.prepend(item);
    const row = { item, button };
    this.rows.set(id, row);
    return row;
  }
}

function rateWords(rate: number | null): string {
  return rate === null ? "done" : `${rate.toLocaleString("en", { maximumFractionDigits: rate < 10 ? 1 : 0 })} tokens/s`;
}
