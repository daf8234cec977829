// The run's state as this page knows it: patches in order, a snapshot wherever one is missing.

import {
  isOver,
  pending,
  type Call,
  type CallPatch,
  type Decide,
  type FromKernel,
  type Patch,
  type Problem,
  type Ruled,
  type RunState,
  type ToKernel,
} from "./protocol";
import { PartialJSON } from "../shared/partial";

/** How long a silent run, or an unanswered question, is left alone before the state is asked for (again). */
const PATIENCE = { silence: 15_000, question: 1_000 };
/** How often a page says that it shows what is pending. */
const HEARTBEAT = 5_000;
const MOST_PRELIMINARY = 5;

export class RunStore {
  state: RunState;
  /** Whether the kernel that ran this is gone: nothing that is decided now could reach it. */
  lost = false;
  /** The answer's value so far, where JSON is asked for. */
  reading: PartialJSON | undefined;
  private readFrom = 0;
  private readonly send: (message: ToKernel) => void;
  private readonly listeners = new Set<() => void>();
  private readonly rulings = new Map<string, (ruled: Ruled) => void>();
  private check: { id: string; answer: (problems: Problem[]) => void } | undefined;
  private checks = 0;
  private readonly page = Math.random().toString(36).slice(2);
  private views = 0;
  private askedAt = -Infinity;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private heartbeat: ReturnType<typeof setInterval> | undefined;

  constructor(state: RunState, send: (message: ToKernel) => void) {
    this.state = state;
    this.send = send;
    this.read();
  }

  /** Tell the kernel that a page is here; its answer closes the hole between the first state and this moment. */
  open(): void {
    this.send({ kind: "hello" });
    this.expectMore();
  }

  close(): void {
    clearTimeout(this.watch);
    clearInterval(this.heartbeat);
    this.listeners.clear();
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
    else if (message.kind === "ruled") this.ruled(message);
    else if (message.kind === "checked" && this.check?.id === message.request_id) this.check.answer(message.problems);
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: RunState): void {
    if (state.seq < this.state.seq) return;
    this.askedAt = -Infinity;
    this.become(state);
  }

  /** A view opens on this page. */
  shown(): void {
    this.views += 1;
    this.attend();
  }

  /** A view goes: static output took its place, or the cell went away. With the last one, the kernel is told. */
  hidden(): void {
    this.views -= 1;
    this.attend();
    if (this.views === 0) this.send({ kind: "gone" });
  }

  /** The kernel is gone: it was restarted. */
  lose(): void {
    this.lost = true;
    this.become(this.state);
  }

  stop(): void {
    this.send({ kind: "stop" });
  }

  /** Send a decision; `answer` is called with what became of it. */
  decide(decision: Omit<Decide, "kind">, answer: (ruled: Ruled) => void): void {
    this.rulings.set(decision.call_id, answer);
    this.send({ kind: "decide", ...decision });
  }

  /** Ask what is wrong with edited arguments; `answer` is called unless another question follows before. */
  examine(call_id: string, text: string, answer: (problems: Problem[]) => void): void {
    this.check = { id: `${this.page}-${++this.checks}`, answer };
    this.send({ kind: "check", call_id, arguments: text, request_id: this.check.id });
  }

  revoke(rule_id: string): void {
    this.send({ kind: "revoke", rule_id });
  }

  private ruled(message: Ruled): void {
    this.rulings.get(message.call_id)?.(message);
    this.rulings.delete(message.call_id);
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
      calls: patch.calls === undefined ? this.state.calls : patched(this.state.calls, patch.calls),
    });
  }

  private become(state: RunState): void {
    this.state = state;
    this.read();
    this.expectMore();
    this.attend();
    for (const listener of this.listeners) listener();
  }

  private read(): void {
    const { output, text, status } = this.state;
    if (output?.kind !== "json" && output?.kind !== "array") {
      this.reading = undefined;
      return;
    }
    if (this.readFrom !== output.from) this.reading = undefined;
    this.readFrom = output.from;
    this.reading ??= new PartialJSON();
    this.reading.update(text.slice(output.from));
    if (isOver(status)) this.reading.close();
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

  /** As long as calls are pending and shown here, the kernel hears that somebody may be there to decide. */
  private attend(): void {
    const wanted = this.views > 0 && !this.lost && pending(this.state).length > 0;
    if (wanted === (this.heartbeat !== undefined)) return;
    clearInterval(this.heartbeat);
    this.heartbeat = undefined;
    if (!wanted) return;
    this.send({ kind: "here" });
    this.heartbeat = setInterval(() => this.send({ kind: "here" }), HEARTBEAT);
  }
}

function patched(calls: Call[], patches: CallPatch[]): Call[] {
  const result = [...calls];
  for (const patch of patches) {
    const index = result.findIndex((call) => call.id === patch.id);
    const before = index < 0 ? ({ input: "", preliminary: [] } as unknown as Call) : result[index]!;
    const call = { ...before, ...patch.set };
    call.input += patch.input ?? "";
    call.preliminary = [...call.preliminary, ...(patch.preliminary ?? [])].slice(-MOST_PRELIMINARY);
    if (index < 0) result.push(call);
    else result[index] = call;
  }
  return result;
}
