// What a row holds when it is unfolded. Everything of it is text to the page.

import { button } from "../shared/dom";
import { showText, showValue } from "../shared/value";
import { make } from "./dom";
import type { Message, Row, Section } from "./protocol";
import type { TraceStore } from "./store";

const MORE_MESSAGES = 40;

export class DetailsView {
  readonly element = make("div", "details", { role: "group", "aria-label": "Details" });
  private readonly store: TraceStore;
  private readonly id: number;
  private readonly changed: () => void;
  private messages: number | undefined;
  private row: Row | undefined;
  private shown = "";
  private forget: (() => void) | undefined;
  private stale = false;

  /** `changed` is called when what is shown has become another. */
  constructor(id: number, store: TraceStore, changed: () => void) {
    this.id = id;
    this.store = store;
    this.changed = changed;
    this.element.id = `llmkit-timeline-${Math.random().toString(36).slice(2)}`;
    this.element.append(make("p", "waiting", {}, "Waiting for the kernel…"));
  }

  dispose(): void {
    this.forget?.();
    this.element.remove();
  }

  /** Ask for what there is, if the row isn't what it was. */
  update(row: Row): void {
    const before = this.row;
    this.row = row;
    if (this.store.lost && this.shown === "") this.say("The kernel was restarted: there is no more to be had.");
    if (before !== undefined && before.status === row.status && before.detail === row.detail) return;
    this.ask();
  }

  private ask(): void {
    if (this.store.lost) return;
    this.stale = this.forget !== undefined;
    if (this.stale) return;
    this.forget = this.store.ask(this.id, this.messages, (sections) => {
      this.forget = undefined;
      this.show(sections);
      if (this.stale) this.ask();
    });
  }

  private show(sections: Section[]): void {
    const now = JSON.stringify(sections);
    if (now === this.shown) return;
    this.shown = now;
    if (sections.length === 0) this.say("There is no more to know.");
    else this.element.replaceChildren(...sections.map((section) => this.section(section)));
    this.changed();
  }

  private say(words: string): void {
    this.element.replaceChildren(make("p", "quiet", {}, words));
  }

  private section(section: Section): HTMLElement {
    const title = section.title === "" ? [] : [make("div", "title", {}, section.title)];
    return make("div", "part", {}, ...title, ...this.content(section));
  }

  private content(section: Section): HTMLElement[] {
    switch (section.kind) {
      case "facts":
        return [facts(section.facts)];
      case "text":
        return [showText(section)];
      case "value":
        return [showValue(section.value)];
      case "messages":
        return [...this.earlier(section.messages.length, section.earlier, section.most), ...section.messages.map(message)];
    }
  }

  /** What says how many messages came before, and brings some of them. */
  private earlier(shown: number, earlier: number, most: number): HTMLElement[] {
    if (earlier === 0) return [];
    const next = Math.min(earlier, MORE_MESSAGES, most - shown);
    const words = earlier.toLocaleString("en");
    if (next <= 0) return [make("p", "quiet", {}, `… ${words} earlier messages, not sent here`)];
    const more = next < earlier ? `${next} of ${words}` : words;
    const press = (): void => {
      this.messages = shown + next;
      this.ask();
    };
    return [button("more", `… Show ${more} earlier messages`, press)];
  }
}

function facts(known: [string, string][]): HTMLElement {
  return make("dl", "facts", {}, ...known.map(([name, value]) => {
    const fact = make("div", "fact", {}, make("dt", "fact-name", {}, name), make("dd", "fact-value", {}, value));
    return fact;
  }));
}

function message({ role, parts }: Message): HTMLElement {
  const content = parts.map(({ label, text, more }) => {
    const words = label === "" ? [] : [make("span", "quiet", {}, label)];
    return make("div", "said", {}, ...words, showText({ text, more }));
  });
  return make("div", "message", {}, make("div", "role", {}, role), make("div", "parts", {}, ...content));
}
