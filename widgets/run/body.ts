// What the model said and did, in order: stretches of text, and a card for each call where it came.

import { Card } from "./card";
import { make } from "../shared/dom";
import { focusIsFree } from "./focus";
import { isOver, type RunState } from "./protocol";
import type { RunStore } from "./store";
import { StreamedMarkdown } from "./streamed";

interface Stretch {
  element: HTMLElement;
  text: StreamedMarkdown;
  /** Where its text starts in the run's. */
  from: number;
}

export class Body {
  readonly element = make("div", "body");
  private readonly store: RunStore;
  private readonly stretches: Stretch[] = [];
  private readonly cards = new Map<string, Card>();
  private waiting = new Set<string>();

  constructor(store: RunStore) {
    this.store = store;
    this.begin(0);
  }

  update(state: RunState): void {
    const focused = [...this.cards.values()].find((card) => card.hasFocus);
    for (const call of state.calls) {
      const card = this.cards.get(call.id) ?? this.add(call.id, call.at);
      card.update(call, this.store.lost);
    }
    this.stretches.forEach((stretch, index) => {
      stretch.text.update(state.text.slice(stretch.from, this.stretches[index + 1]?.from));
      if (index < this.stretches.length - 1 || isOver(state.status)) stretch.text.settle();
    });
    this.moveFocus(focused);
  }

  /** Cards of one place stand together; text that follows them begins a new stretch. */
  private add(id: string, at: number): Card {
    const call = this.store.state.calls.find((each) => each.id === id)!;
    const card = new Card(call, this.store);
    this.cards.set(id, card);
    const last = this.stretches.at(-1)!;
    if (last.from === at && this.stretches.length > 1) last.element.before(card.element);
    else {
      this.element.append(card.element);
      this.begin(at);
    }
    return card;
  }

  private begin(from: number): void {
    const element = make("div", "markdown");
    element.classList.add("llmkit-run-answer");
    this.element.append(element);
    this.stretches.push({ element, text: new StreamedMarkdown(element), from });
  }

  /** After a decision the focus goes on to the next card; a new one takes it only from nobody. */
  private moveFocus(focused: Card | undefined): void {
    if (!this.element.isConnected) return;
    const pending = [...this.cards.values()].filter((card) => card.pending);
    const isNew = pending.some((card) => !this.waiting.has(card.id));
    const decided = focused !== undefined && this.waiting.has(focused.id) && !focused.pending;
    this.waiting = new Set(pending.map((card) => card.id));
    if (decided) (pending[0] ?? focused).takeFocus();
    else if (isNew && focused === undefined && focusIsFree()) pending[0]!.takeFocus();
  }
}
