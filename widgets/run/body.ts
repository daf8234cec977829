// What the model said and did, in order: stretches of text, and a card for each call where it came.

import { Card } from "./card";
import { make } from "../shared/dom";
import { focusIsFree } from "./focus";
import { isOver, type RunState } from "./protocol";
import type { RunStore } from "./store";
import { Stretch, type Form } from "./stretch";

export class Body {
  readonly element = make("div", "body");
  private readonly store: RunStore;
  private readonly stretches: Stretch[] = [];
  private readonly cards = new Map<string, Card>();
  private waiting = new Set<string>();
  /** Whether the answer shows as it is written, not as the value that it is. */
  raw = false;

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
    if (state.output !== null && this.stretches.at(-1)!.from < state.output.from) this.begin(state.output.from);
    this.stretches.forEach((stretch, index) => {
      const text = state.text.slice(stretch.from, this.stretches[index + 1]?.from);
      const over = index < this.stretches.length - 1 || isOver(state.status) || this.store.lost;
      const isOutput = stretch.from === state.output?.from;
      stretch.update(text, isOutput ? this.outputForm(state) : "markdown", over, this.store.reading);
    });
    this.moveFocus(focused);
  }

  dispose(): void {
    for (const stretch of this.stretches) stretch.dispose();
  }

  /** What should be JSON and isn't, from its first letter on, is shown like any other answer. */
  private outputForm({ output }: RunState): Form {
    if (output?.kind === "text") return "markdown";
    const { reading } = this.store;
    if (reading === undefined || this.raw) return "text";
    return reading.root === undefined && reading.broken ? "markdown" : "value";
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
    const stretch = new Stretch(from);
    this.element.append(stretch.element);
    this.stretches.push(stretch);
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
