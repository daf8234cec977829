// One tool call: a line that unfolds to what was asked, decided and returned. While it waits it is open, with buttons.

import { differences, show } from "./arguments";
import { Controls } from "./controls";
import { make, say } from "../shared/dom";
import { long } from "../shared/long";
import type { Call, CallStatus } from "./protocol";
import type { RunStore } from "./store";
import { showText, showValue } from "../shared/value";
import { oneLine, plain } from "../shared/visible";
import { callMark, callWords, decisionWords, reasonWords, resultWords } from "./words";

/** A key pressed this soon after a card took the focus by itself was meant for something else. */
export const ARMED_AFTER = 400;
const LONGEST_NAME = 80;
const SETTLED = new Set<CallStatus>(["done", "failed", "denied", "cancelled", "open", "invalid"]);

export class Card {
  readonly element: HTMLElement;
  private readonly mark = make("span", "mark", { "aria-hidden": "true" });
  private readonly name = make("code", "tool");
  private readonly short = make("span", "short");
  private readonly outcome = make("span", "outcome");
  private readonly result = make("span", "came");
  private readonly body = make("div", "card-body");
  private readonly head: HTMLElement;
  private readonly controls: Controls;
  private call: Call;
  private lost = false;
  private open = false;
  private painted: unknown[] = [];
  private armed = true;
  private arming: ReturnType<typeof setTimeout> | undefined;

  constructor(call: Call, store: RunStore) {
    this.call = call;
    this.controls = new Controls(call, store);
    this.head = make("div", "card-head", {}, this.mark, this.name, this.short, this.result, this.outcome);
    this.element = make("div", "card", { role: "group" }, this.head, this.body, this.controls.element);
    this.head.addEventListener("click", () => this.toggle());
    this.element.addEventListener("keydown", (event) => this.onKey(event));
  }

  get id(): string {
    return this.call.id;
  }

  get pending(): boolean {
    return this.call.status === "pending" && !this.lost;
  }

  get hasFocus(): boolean {
    return this.element.contains(document.activeElement);
  }

  update(call: Call, lost: boolean): void {
    if (call === this.call && lost === this.lost && this.painted.length > 0) return;
    this.call = call;
    this.lost = lost;
    this.paint();
  }

  /** Take the focus without having been asked to: keys count only from a moment later. */
  takeFocus(): void {
    this.arm(false);
    clearTimeout(this.arming);
    this.arming = setTimeout(() => this.arm(true), ARMED_AFTER);
    if (this.pending) this.element.focus();
    else this.head.focus();
  }

  private arm(armed: boolean): void {
    this.armed = armed;
    this.element.toggleAttribute("data-armed", armed && this.pending);
  }

  private get unfolded(): boolean {
    return this.open || this.call.status === "pending" || this.call.status === "writing";
  }

  private get foldable(): boolean {
    return this.call.status !== "pending" && this.call.status !== "writing";
  }

  private paint(): void {
    const { call, lost } = this;
    const name = oneLine(call.name || "a call", LONGEST_NAME);
    const isLost = lost && !SETTLED.has(call.status);
    const words = isLost ? "lost" : callWords(call);
    this.element.dataset["status"] = isLost ? "lost" : call.status;
    const spoken = this.pending ? "waits for you" : words || decisionWords(call) || call.status;
    this.element.setAttribute("aria-label", `Call of ${name}: ${spoken}`);
    say(this.mark, callMark(call));
    say(this.name, name);
    say(this.short, this.unfolded ? "" : call.short);
    say(this.result, this.unfolded ? "" : resultWords(call));
    const decided = `${decisionWords(call)}${this.unfolded ? "" : reasonWords(call)}`;
    say(this.outcome, [words, decided, took(call)].filter((part) => part !== "").join(" · "));
    this.paintFocus();
    this.paintBody();
    this.controls.update(call, lost);
  }

  /** Only what can be acted on is reached by keyboard; Lab's own shortcuts stay away from a card that takes keys. */
  private paintFocus(): void {
    this.arm(this.armed);
    if (this.pending) {
      this.element.tabIndex = 0;
      this.element.setAttribute("data-lm-suppress-shortcuts", "true");
    } else {
      this.element.removeAttribute("tabindex");
      this.element.removeAttribute("data-lm-suppress-shortcuts");
    }
    if (!this.foldable) {
      for (const attribute of ["role", "tabindex", "aria-expanded"]) this.head.removeAttribute(attribute);
      return;
    }
    this.head.setAttribute("role", "button");
    this.head.tabIndex = 0;
    this.head.setAttribute("aria-expanded", String(this.open));
  }

  private paintBody(): void {
    const { call } = this;
    this.body.hidden = !this.unfolded;
    // By value: a snapshot has new objects for what is the same, and what was unfolded should stay so.
    const came = [call.result, call.error, call.printed].map((part) => part !== null);
    const counts = [call.preliminary_count, call.displayed.length];
    const now = [this.open, call.status, call.arguments, call.executed, call.input, ...counts, ...came];
    if (now.every((part, index) => part === this.painted[index])) return;
    this.painted = now;
    this.body.replaceChildren(...(this.unfolded ? this.parts() : []));
  }

  private parts(): HTMLElement[] {
    const { call } = this;
    const parts = call.status === "pending" || this.open ? [words("description", call.description)] : [];
    if (call.status === "pending") parts.push(words("why", call.why));
    parts.push(...this.asked());
    if (!this.open) return parts;
    if (call.decision?.reason) parts.push(part("Reason", words("said", call.decision.reason)));
    if (call.preliminary.length > 0) parts.push(this.preliminary());
    if (call.result !== null) parts.push(part("Result", showValue(call.result)));
    if (call.error !== null) parts.push(part("Error", words("said", `${call.error.kind}: ${call.error.message}`)));
    if (call.printed !== null || call.displayed.length > 0) parts.push(this.output());
    return parts;
  }

  /** Return the arguments: as they are written, as they are asked for, or what an edit made of them. */
  private asked(): HTMLElement[] {
    const { call } = this;
    if (call.arguments === null) return call.input === "" ? [] : [this.written()];
    if (call.executed === null) return [show(call.arguments)];
    const changed = differences(call.arguments, call.executed);
    return [
      part("Ran with", show(call.executed, changed)),
      foldedPart("What the model asked for", show(call.arguments, changed)),
    ];
  }

  private written(): HTMLElement {
    const { call } = this;
    const text = make("pre", "writing");
    plain().paint(text, call.input);
    const more = call.written - call.input.length;
    if (more > 0) text.append(make("span", "quiet", {}, ` … ${more.toLocaleString("en")} more characters`));
    return text;
  }

  private preliminary(): HTMLElement {
    const { preliminary, preliminary_count: count } = this.call;
    const title = count > preliminary.length ? `On the way, the last ${preliminary.length} of ${count}` : "On the way";
    return foldedPart(title, ...preliminary.map(showValue));
  }

  /** Return what the handler printed and displayed. */
  private output(): HTMLElement {
    const { printed, displayed } = this.call;
    if (printed === null) return foldedPart("Displayed", ...displayed.map(showValue));
    const title = displayed.length === 0 ? "Printed" : "Printed and displayed";
    return foldedPart(title, showText(printed), ...displayed.map(showValue));
  }

  private toggle(): void {
    if (!this.foldable) return;
    this.open = !this.open;
    this.paint();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.target === this.head && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.toggle();
    }
    if (!this.pending || event.repeat || !this.armed) return;
    if (this.controls.onKey(event)) {
      event.preventDefault();
      if (event.key === "Escape") this.element.focus();
    }
    if (event.key !== "Tab") event.stopPropagation();
  }
}

function words(name: string, text: string): HTMLElement {
  const element = make("div", name);
  element.hidden = text === "";
  long(element, text, plain());
  return element;
}

function part(title: string, ...content: HTMLElement[]): HTMLElement {
  return make("div", "part", {}, make("div", "title", {}, title), ...content);
}

function foldedPart(title: string, ...content: HTMLElement[]): HTMLElement {
  return make("details", "part", {}, make("summary", "summary", {}, title), ...content);
}

function took({ duration }: Call): string {
  if (duration === null) return "";
  return duration < 0.9995 ? `${Math.round(1000 * duration)} ms` : `${duration.toFixed(duration < 10 ? 1 : 0)} s`;
}
