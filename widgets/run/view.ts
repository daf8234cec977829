// One view of a run: built once, then painted from the state.

import { Body } from "./body";
import { copy } from "../shared/copy";
import { make, say } from "../shared/dom";
import { isOver, type RunState } from "./protocol";
import { Rules } from "./rules";
import type { RunStore } from "./store";
import { StreamedMarkdown } from "../shared/streamed";
import { visible } from "../shared/visible";
import { footerWords, rateWords, statusWords } from "./words";

/** The prompt's progress shows only when reading it takes longer than this, in milliseconds. */
const PREFILL_PATIENCE = 300;
/**
 * Painting takes at most a twentieth of the time, because what a page spends the model can't have; it happens at most
 * ten times a second, which still reads as flowing, and at least twice.
 */
const PAINT = { share: 19, atLeast: 100, atMost: 500 };
const COPIED_FOR = 1_500;

export class RunView {
  readonly element: HTMLElement;
  private readonly store: RunStore;
  private readonly status = make("span", "status");
  private readonly model = make("span", "model");
  private readonly engine = make("span", "engine");
  private readonly rate = make("span", "rate");
  private readonly note = make("p", "note");
  private readonly fill = make("div", "fill");
  private readonly bar = make("div", "bar", { role: "progressbar" }, this.fill);
  private readonly stop = make("button", "button", { type: "button", title: "Stop this run" }, "Stop");
  private readonly copy = make("button", "button", { type: "button", title: "Copy the answer as Markdown" }, "Copy");
  private readonly json = make("button", "button", { type: "button", "aria-pressed": "false" }, "JSON");
  private readonly thoughts = make("div", "markdown");
  private readonly reasoning = make("details", "reasoning", {}, make("summary", "summary", {}, "Reasoning"), this.thoughts);
  private readonly body: Body;
  private readonly rules: Rules;
  private readonly error = make("div", "error");
  private readonly footer = make("footer", "footer");
  private readonly reasoningText = new StreamedMarkdown(this.thoughts);
  private readonly unsubscribe: () => void;
  private paintTimer: ReturnType<typeof setTimeout> | undefined;
  private prefillTimer: ReturnType<typeof setTimeout> | undefined;
  private patient = true;
  private cost = 0;
  private paintedAt = -Infinity;

  constructor(store: RunStore) {
    this.store = store;
    this.body = new Body(store);
    this.rules = new Rules(store);
    this.element = this.build();
    this.stop.addEventListener("click", () => this.onStop());
    this.copy.addEventListener("click", () => void this.onCopy());
    this.json.addEventListener("click", () => this.onJSON());
    this.reasoning.addEventListener("toggle", () => this.paint());
    this.unsubscribe = store.subscribe(() => this.schedule());
    this.paint();
    this.schedule(); // what takes the focus must be on the page first
  }

  dispose(): void {
    this.unsubscribe();
    clearTimeout(this.paintTimer);
    clearTimeout(this.prefillTimer);
    this.body.dispose();
    this.element.remove();
  }

  private build(): HTMLElement {
    const dot = make("span", "dot", { "aria-hidden": "true" });
    const buttons = make("span", "buttons", {}, this.stop, this.json, this.copy);
    const who = make("span", "who", {}, dot, this.status, this.model, this.engine);
    const header = make("header", "header", {}, who, this.rate, buttons);
    const section = make("section", "view", { role: "group" }, header, this.bar, this.note);
    section.classList.add("llmkit-run");
    section.append(this.reasoning, this.body.element, this.rules.element, this.error, this.footer);
    return section;
  }

  /** Paint soon: at once for the end or when it was quiet, otherwise the later the more a painting costs. */
  private schedule(): void {
    const over = isOver(this.store.state.status);
    if (over) clearTimeout(this.paintTimer);
    else if (this.paintTimer !== undefined) return;
    const interval = Math.min(Math.max(PAINT.share * this.cost, PAINT.atLeast), PAINT.atMost);
    const delay = over ? 0 : Math.max(0, this.paintedAt + interval - performance.now());
    this.paintTimer = setTimeout(() => this.paint(), delay);
  }

  private paint(): void {
    this.paintTimer = undefined;
    const before = performance.now();
    const { state } = this.store;
    this.element.toggleAttribute("data-unfit", state.output_error !== null);
    this.element.dataset["status"] = this.store.lost && !isOver(state.status) ? "lost" : state.status;
    this.element.setAttribute("aria-label", `Answer of ${state.model || "a model"}`);
    this.element.setAttribute("aria-busy", String(!isOver(state.status) && !this.store.lost));
    this.paintHeader(state);
    this.paintProgress(state);
    this.paintText(state);
    this.paintEnd(state);
    this.paintedAt = performance.now();
    this.cost = this.paintedAt - before;
  }

  private paintHeader(state: RunState): void {
    say(this.status, this.store.lost && !isOver(state.status) ? "Lost" : statusWords(state));
    say(this.model, state.model);
    say(this.engine, state.engine);
    say(this.note, state.note);
    say(this.rate, state.status === "decoding" ? rateWords(state.rate) : "");
    const hadFocus = document.activeElement === this.stop;
    this.stop.hidden = isOver(state.status) || this.store.lost;
    if (hadFocus && this.stop.hidden) this.copy.focus();
    this.copy.hidden = state.text === "";
    this.json.hidden = this.store.reading?.root === undefined;
    this.json.title = this.body.raw ? "Show the value" : "Show the JSON text";
    this.copy.title = this.store.reading === undefined ? "Copy the answer as Markdown" : "Copy the JSON text";
  }

  private paintProgress(state: RunState): void {
    const reading = state.status === "prefill" && state.prefill !== null;
    if (!reading) this.forgetPrefill();
    else this.prefillTimer ??= setTimeout(() => this.onSlowPrefill(), PREFILL_PATIENCE);
    const share = this.progress(state);
    this.bar.hidden = share === undefined;
    if (share === undefined) return;
    this.bar.classList.toggle("llmkit-run-unknown", share === null);
    this.bar.setAttribute("aria-label", statusWords(state));
    if (share === null) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", String(Math.round(share)));
    this.fill.style.width = share === null ? "" : `${share}%`;
  }

  /** Return how far it is, in percent: `null` when unknown, `undefined` when there is nothing to show. */
  private progress({ status, load, prefill }: RunState): number | null | undefined {
    if (status === "loading") return load?.percentage ?? null;
    if (status !== "prefill" || prefill === null || this.patient) return undefined;
    return (100 * prefill.done) / Math.max(1, prefill.total);
  }

  private paintText(state: RunState): void {
    this.reasoning.hidden = state.reasoning === "";
    if (this.reasoning.open) this.reasoningText.update(state.reasoning);
    this.body.update(state);
    this.rules.update(state.rules, isOver(state.status), this.store.lost);
  }

  private paintEnd(state: RunState): void {
    const error = state.error ?? state.output_error;
    this.error.hidden = error === null;
    if (error !== null && this.error.childElementCount === 0) {
      this.error.append(make("strong", "kind", {}, error.kind), make("span", "message", {}, visible(error.message)));
    }
    say(this.footer, isOver(state.status) ? footerWords(state) : "");
  }

  private onSlowPrefill(): void {
    this.patient = false;
    this.paint();
  }

  private forgetPrefill(): void {
    clearTimeout(this.prefillTimer);
    this.prefillTimer = undefined;
    this.patient = true;
  }

  private onStop(): void {
    this.store.stop();
    this.stop.textContent = "Stopping…";
    this.stop.disabled = true;
  }

  private onJSON(): void {
    this.body.raw = !this.body.raw;
    this.json.setAttribute("aria-pressed", String(this.body.raw));
    this.paint();
  }

  private async onCopy(): Promise<void> {
    const { text, output } = this.store.state;
    const copied = await copy(text.slice(output?.from ?? 0));
    this.copy.textContent = copied ? "Copied" : "Can't copy here";
    setTimeout(() => (this.copy.textContent = "Copy"), COPIED_FOR);
  }
}
