// Blind judging: two answers side by side without their labels, and a key for each verdict.

import { render } from "../shared/markdown";
import { visible } from "../shared/visible";
import { Dialog } from "./dialog";
import { button, make, tag } from "./dom";
import type { Factor, Judged, Pair, Tally, Verdict } from "./protocol";
import type { GridStore } from "./store";
import { labelOf } from "./words";

const KEYS: Record<string, Verdict> = { "1": "left", "2": "right", "0": "tie" };

export class Judging extends Dialog {
  private readonly store: GridStore;
  private readonly progress = make("span", "quiet");
  private readonly message = make("div", "message", { role: "status" });
  private factor: Factor | undefined;
  /** The pair that is asked about, until its verdict is sent. */
  private pair: Pair | undefined;

  constructor(store: GridStore, closed: () => void) {
    super("Judge blind", closed);
    this.store = store;
    this.title.append("Which answer is better?", this.progress);
    const choices = store.state.factors.filter((factor) => factor.levels.length > 1);
    if (choices.length === 1) this.begin(choices[0]!);
    else this.ask(choices);
  }

  protected onKey(event: KeyboardEvent): boolean {
    const verdict = KEYS[event.key];
    if (event.repeat || this.pair === undefined) return false;
    if (verdict !== undefined) this.vote(verdict);
    else if (event.key.toLowerCase() === "s") this.skip();
    else return false;
    return true;
  }

  override close(): void {
    this.store.endJudging();
    super.close();
  }

  private ask(choices: Factor[]): void {
    const buttons = choices.map((factor) => {
      const press = button(labelOf(factor.name), `Judge ${labelOf(factor.name)}`, () => this.begin(factor));
      press.classList.add("llmkit-grid-choice");
      return press;
    });
    const text = "What should differ between the two answers? Everything else will be the same.";
    this.content.replaceChildren(make("p", "ask", {}, text), make("div", "choices", {}, ...buttons));
  }

  private begin(factor: Factor): void {
    this.factor = factor;
    this.content.replaceChildren(make("p", "ask", {}, "…"));
    this.store.judge(factor.name, (message) => this.hear(message));
  }

  private hear(message: Judged): void {
    if (message.kind === "problem") this.message.textContent = visible(message.message);
    else if (message.kind === "tally") this.end(message.levels, message.total);
    else this.show(message.pair, message.done, message.total);
  }

  private show(pair: Pair, done: number, total: number): void {
    this.pair = pair;
    this.message.textContent = "";
    this.progress.textContent = ` · ${done + 1} of ${total}`;
    const about = make("div", "about", {}, ...Object.entries(pair.same).map(tag));
    const prompt = make("div", "prompt", {}, visible(pair.prompt));
    prompt.hidden = pair.prompt === "";
    const sides = make("div", "sides", {}, side("1", pair.left), side("2", pair.right));
    const verdicts = make(
      "div",
      "verdicts",
      {},
      keyed("1 is better", "1", () => this.vote("left")),
      keyed("Tie", "0", () => this.vote("tie")),
      keyed("2 is better", "2", () => this.vote("right")),
      keyed("Skip", "S", () => this.skip()),
    );
    this.content.replaceChildren(about, prompt, sides, verdicts, this.message);
    this.content.scrollTop = 0;
    this.content.focus();
  }

  private vote(verdict: Verdict): void {
    if (this.pair === undefined) return;
    this.store.vote(this.pair.id, verdict);
    this.message.textContent = "";
  }

  private skip(): void {
    if (this.pair !== undefined) this.store.skip(this.pair.id);
  }

  /** Only now is it told what was what. */
  private end(levels: Tally[], total: number): void {
    this.pair = undefined;
    this.progress.textContent = "";
    if (total === 0) {
      const name = labelOf(this.factor?.name ?? "");
      const text = `There is nothing to judge yet: it takes two finished answers that differ in ${name} alone.`;
      this.content.replaceChildren(make("p", "ask", {}, text));
      return;
    }
    const line = (tag: "th" | "td", parts: (string | number)[]): HTMLElement =>
      make("tr", "tally-row", {}, ...parts.map((part) => make(tag, "tally-cell", {}, String(part))));
    const rows = levels.map(({ label, wins, ties, losses }) => line("td", [labelOf(label), wins, ties, losses]));
    const head = line("th", [labelOf(this.factor?.name ?? ""), "better", "tie", "worse"]);
    this.content.replaceChildren(
      make("p", "ask", {}, `All ${total} ${total === 1 ? "pair is" : "pairs are"} judged.`),
      make("table", "tally", {}, head, ...rows),
    );
    this.content.focus();
  }
}

function side(number: string, text: string): HTMLElement {
  const body = make("div", "side-answer");
  body.classList.add("llmkit-run-markdown");
  body.append(render(text));
  return make("section", "side", { "aria-label": `Answer ${number}` }, make("div", "side-head", {}, number), body);
}

function keyed(label: string, key: string, press: () => void): HTMLButtonElement {
  const element = button(label, label, press, key);
  element.append(make("kbd", "key", { "aria-hidden": "true" }, key));
  return element;
}
