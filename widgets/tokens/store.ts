// The lanes as this page knows them: patches in order, and a snapshot wherever one is missing.

import type { LiveStore } from "../shared/live";
import type { By, FromKernel, Lane, ToKernel, TokensState } from "./protocol";

const PATIENCE = 1_000;

export class TokensStore implements LiveStore<TokensState, FromKernel> {
  state: TokensState;
  /** Whether the kernel is gone: nothing can branch any more. */
  lost = false;
  /** Why the last branch couldn't be made. */
  refused = "";
  private readonly listeners = new Set<() => void>();
  private askedAt = -Infinity;
  private views = 0;

  constructor(
    state: TokensState,
    private readonly send: (message: ToKernel) => void,
  ) {
    this.state = copied(state);
  }

  open(): void {
    this.send({ kind: "hello" });
  }

  close(): void {
    this.listeners.clear();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  receive(message: FromKernel): void {
    this.lost = false;
    if (message.kind === "snapshot") this.replace(message.state);
    else if (message.kind === "patch") this.patch(message);
    else if (message.kind === "refused") {
      this.refused = message.text;
      this.tell();
    }
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: TokensState): void {
    if (state.seq < this.state.seq) return;
    this.askedAt = -Infinity;
    this.state = copied(state);
    this.tell();
  }

  lose(): void {
    this.lost = true;
    this.tell();
  }

  shown(): void {
    this.views += 1;
  }

  hidden(): void {
    this.views -= 1;
    if (this.views === 0) this.send({ kind: "gone" });
  }

  /** Whether tokens of a lane can be replaced. */
  branches(lane: Lane): boolean {
    return lane.branching && !this.lost;
  }

  branch(lane: number, token: number, id: number): void {
    this.refused = "";
    this.send({ kind: "branch", lane, token, id });
  }

  stop(lane: number): void {
    this.send({ kind: "stop", lane });
  }

  /** Have static output put in the view's place, coloured by `by`. */
  keep(by: By): void {
    this.send({ kind: "keep", by });
  }

  private patch({ seq, lanes }: Extract<FromKernel, { kind: "patch" }>): void {
    if (seq <= this.state.seq) return;
    const misses = lanes.some(({ number, sent }) => {
      const known = this.state.lanes[number];
      return known === undefined ? sent > 0 || number > this.state.lanes.length + lanes.length : known.tokens.length < sent;
    });
    if (seq > this.state.seq + 1 || misses) {
      this.resync();
      return;
    }
    this.state.seq = seq;
    for (const { number, sent, ...lane } of lanes) {
      const tokens = this.state.lanes[number]?.tokens.slice(0, sent) ?? [];
      this.state.lanes[number] = { ...lane, tokens: [...tokens, ...lane.tokens] };
    }
    this.tell();
  }

  private resync(): void {
    if (performance.now() - this.askedAt < PATIENCE) return;
    this.askedAt = performance.now();
    this.send({ kind: "resync" });
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

function copied(state: TokensState): TokensState {
  return { ...state, lanes: state.lanes.map((lane) => ({ ...lane, tokens: [...lane.tokens] })) };
}
