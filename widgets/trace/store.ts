// The timeline as this page knows it: patches in order, a snapshot wherever one is missing, details when asked.

import { isOver, type FromKernel, type Patch, type Row, type Section, type ToKernel, type TraceState } from "./protocol";

/** How long a silent run, or an unanswered question, is left alone before the state is asked for (again), in ms. */
const PATIENCE = { silence: 15_000, question: 1_000 };

export class TraceStore {
  state: TraceState;
  /** Whether the kernel that ran this is gone: nothing more comes, and nothing can be asked. */
  lost = false;
  /** Grows whenever a row is new or begins at another time: the order of the rows may be another. */
  shape = 0;
  private readonly send: (message: ToKernel) => void;
  private readonly listeners = new Set<() => void>();
  private readonly questions = new Map<string, (sections: Section[]) => void>();
  private readonly page = Math.random().toString(36).slice(2);
  private asked = 0;
  private views = 0;
  private toldAt = performance.now();
  private askedAt = -Infinity;
  private watch: ReturnType<typeof setTimeout> | undefined;

  constructor(state: TraceState, send: (message: ToKernel) => void) {
    this.state = { ...state, rows: [...state.rows] };
    this.send = send;
  }

  /** Seconds on the rows' clock; it goes on between two messages and stands still when the run does. */
  get now(): number {
    if (isOver(this.state) || this.lost || this.state.rows.length === 0) return this.state.now;
    return this.state.now + (performance.now() - this.toldAt) / 1000;
  }

  /** Tell the kernel that a page is here; its answer closes the hole between the first state and this moment. */
  open(): void {
    this.send({ kind: "hello", seq: this.state.seq });
    this.expectMore();
  }

  close(): void {
    clearTimeout(this.watch);
    this.listeners.clear();
    this.questions.clear();
  }

  /** Call `listener` after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  receive(message: FromKernel): void {
    this.lost = false;
    if (message.kind === "patch") this.patch(message);
    else if (message.kind === "snapshot") this.replace(message.state);
    else if (message.kind === "details") this.answer(message.request_id, message.sections);
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: TraceState): void {
    if (state.seq < this.state.seq) return;
    this.askedAt = -Infinity;
    this.state = { ...state, rows: [...state.rows] };
    this.shape += 1;
    this.tell(state.now);
  }

  /** A view opens on this page. */
  shown(): void {
    this.views += 1;
  }

  /** A view goes: the picture took its place, or the cell went away. With the last one, the kernel is told. */
  hidden(): void {
    this.views -= 1;
    if (this.views === 0) this.send({ kind: "gone" });
  }

  /** The kernel is gone: it was restarted. */
  lose(): void {
    const { now } = this;
    this.lost = true;
    this.tell(now);
  }

  /** Ask what there is to know of a span; `answer` is called once, unless the returned function is called before. */
  ask(span: number, messages: number | undefined, answer: (sections: Section[]) => void): () => void {
    const request_id = `${this.page}-${++this.asked}`;
    this.questions.set(request_id, answer);
    this.send({ kind: "details", span, request_id, ...(messages === undefined ? {} : { messages }) });
    return () => this.questions.delete(request_id);
  }

  private answer(request_id: string, sections: Section[]): void {
    this.questions.get(request_id)?.(sections);
    this.questions.delete(request_id);
  }

  private patch({ seq, now, rows }: Patch): void {
    if (seq < this.state.seq) return;
    if (seq > this.state.seq + 1) {
      this.resync();
      return;
    }
    this.state.seq = seq;
    for (const row of rows) this.put(row);
    this.tell(now);
  }

  private put(row: Row): void {
    const before = this.state.rows[row.id];
    this.state.rows[row.id] = row;
    if (before?.start !== row.start || before.parent !== row.parent) this.shape += 1;
  }

  private tell(now: number): void {
    this.state.now = now;
    this.toldAt = performance.now();
    this.expectMore();
    for (const listener of this.listeners) listener();
  }

  private resync(): void {
    if (performance.now() - this.askedAt < PATIENCE.question) return;
    this.askedAt = performance.now();
    this.send({ kind: "resync", seq: this.state.seq });
  }

  /** A lost connection may have swallowed the end: a run that falls silent is asked how it is. */
  private expectMore(): void {
    clearTimeout(this.watch);
    if (isOver(this.state) || this.lost) return;
    this.watch = setTimeout(() => {
      this.resync();
      this.expectMore();
    }, PATIENCE.silence);
  }
}
