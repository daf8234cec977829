// The comparison's state as this page knows it: patches in order, a snapshot wherever one is missing.

import { allOver, type CellPatch, type FromKernel, type GridState, type Judged, type Patch, type ToKernel, type Verdict } from "./protocol";

/** How long a silent comparison, or an unanswered question, is left alone before the state is asked for (again), in ms. */
const PATIENCE = { silence: 15_000, question: 1_000 };

/** Which cells a change is about; all of them after a snapshot. */
export type Changed = ReadonlySet<number> | "all";

export class GridStore {
  state: GridState;
  /** Whether the kernel that ran this is gone. */
  lost = false;
  private readonly send: (message: ToKernel) => void;
  private readonly listeners = new Set<(changed: Changed) => void>();
  private readonly page = Math.random().toString(36).slice(2);
  private judged: ((message: Judged) => void) | undefined;
  private views = 0;
  private holds = new Set<string>();
  private askedAt = -Infinity;
  private watch: ReturnType<typeof setTimeout> | undefined;

  constructor(state: GridState, send: (message: ToKernel) => void) {
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
  subscribe(listener: (changed: Changed) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  receive(message: FromKernel): void {
    this.lost = false;
    if (message.kind === "patch") this.patch(message);
    else if (message.kind === "snapshot") this.replace(message.state);
    else if (message.page === this.page) this.judged?.(message);
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: GridState): void {
    if (state.seq < this.state.seq) return;
    this.askedAt = -Infinity;
    this.state = state;
    this.tell("all");
  }

  /** A view opens on this page. */
  shown(): void {
    this.views += 1;
  }

  /** A view goes: static output took its place, or the cell went away. With the last one, the kernel is told. */
  hidden(): void {
    this.views -= 1;
    if (this.views === 0) this.send({ kind: "gone" });
  }

  /** The kernel is gone: it was restarted. */
  lose(): void {
    this.lost = true;
    this.tell("all");
  }

  stop(cell: number): void {
    this.send({ kind: "stop", cell });
  }

  stopAll(): void {
    this.send({ kind: "stop-all" });
  }

  rerun(cell: number): void {
    this.send({ kind: "rerun", cell });
  }

  /** Keep the grid where it is when all cells have ended, for `reason`, until it is let go. */
  hold(reason: string, held: boolean): void {
    const before = this.holds.size > 0;
    if (held) this.holds.add(reason);
    else this.holds.delete(reason);
    if (before !== this.holds.size > 0) this.send({ kind: "hold", held });
  }

  /** Begin to judge a factor; `hear` is told each pair, and at the end the tally. */
  judge(factor: string, hear: (message: Judged) => void): void {
    this.judged = hear;
    this.send({ kind: "judge", page: this.page, factor });
  }

  vote(pair: number, verdict: Verdict): void {
    this.send({ kind: "vote", page: this.page, pair, verdict });
  }

  skip(pair: number): void {
    this.send({ kind: "skip", page: this.page, pair });
  }

  endJudging(): void {
    this.judged = undefined;
  }

  private patch(patch: Patch): void {
    const { state } = this;
    if (patch.seq <= state.seq) return;
    if (patch.seq > state.seq + 1) {
      this.ask();
      return;
    }
    state.seq = patch.seq;
    Object.assign(state, patch.set);
    const cells = patch.cells ?? [];
    for (const change of cells) this.change(change);
    this.tell(new Set(cells.map((change) => change.cell)));
  }

  private change({ cell: index, set, text, reasoning }: CellPatch): void {
    const cell = this.state.cells[index];
    if (cell === undefined) return;
    Object.assign(cell, set);
    if (text !== undefined) cell.text += text;
    if (reasoning !== undefined) cell.reasoning += reasoning;
  }

  private tell(changed: Changed): void {
    this.expectMore();
    for (const listener of this.listeners) listener(changed);
  }

  private ask(): void {
    if (performance.now() - this.askedAt < PATIENCE.question) return;
    this.askedAt = performance.now();
    this.send({ kind: "resync" });
  }

  /** A lost connection may have swallowed the end: a comparison that falls silent is asked how it is. */
  private expectMore(): void {
    clearTimeout(this.watch);
    if (allOver(this.state) || this.lost) return;
    this.watch = setTimeout(() => {
      this.ask();
      this.expectMore();
    }, PATIENCE.silence);
  }
}
