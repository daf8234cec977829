// The run's state as this page knows it: patches in order, a snapshot wherever one is missing.

import { isOver, type FromKernel, type Patch, type RunState, type ToKernel } from "./protocol";

/** How long a silent run, or an unanswered question, is left alone before the state is asked for (again). */
const PATIENCE = { silence: 15_000, question: 1_000 };

export class RunStore {
  state: RunState;
  private readonly send: (message: ToKernel) => void;
  private readonly listeners = new Set<() => void>();
  private askedAt = -Infinity;
  private watch: ReturnType<typeof setTimeout> | undefined;

  constructor(state: RunState, send: (message: ToKernel) => void) {
    this.state = state;
    this.send = send;
  }

  /** Tell the kernel that a page is here; its answer closes the hole between the first state and this moment. */
  open(): void {
    this.send({ kind: "hello" });
    this.expectMore();
  }

  close(): void {
    clearTimeout(this.watch);
    this.listeners.clear();
  }

  /** Call `listener` after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  receive(message: FromKernel): void {
    if (message.kind === "patch") this.patch(message);
    else if (message.kind === "snapshot") this.replace(message.state);
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: RunState): void {
    if (state.seq < this.state.seq) return;
    this.askedAt = -Infinity;
    this.become(state);
  }

  /** Tell the kernel that no view is left on this page: static output took its place, or the cell went away. */
  gone(): void {
    this.send({ kind: "gone" });
  }

  stop(): void {
    this.send({ kind: "stop" });
  }

  private patch(patch: Patch): void {
    if (patch.seq <= this.state.seq) return;
    if (patch.seq > this.state.seq + 1) {
      this.ask();
      return;
    }
    this.become({
      ...this.state,
      ...patch.set,
      seq: patch.seq,
      text: this.state.text + (patch.text ?? ""),
      reasoning: this.state.reasoning + (patch.reasoning ?? ""),
    });
  }

  private become(state: RunState): void {
    this.state = state;
    this.expectMore();
    for (const listener of this.listeners) listener();
  }

  private ask(): void {
    if (performance.now() - this.askedAt < PATIENCE.question) return;
    this.askedAt = performance.now();
    this.send({ kind: "resync" });
  }

  /** A lost connection may have swallowed the end: a run that falls silent is asked how it is. */
  private expectMore(): void {
    clearTimeout(this.watch);
    if (isOver(this.state.status)) return;
    this.watch = setTimeout(() => {
      this.ask();
      this.expectMore();
    }, PATIENCE.silence);
  }
}
