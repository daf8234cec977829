// The chat as this page knows it: its tree of turns, and a store for each answer that was on the path.

import { announceChanges } from "../run/announce";
import { isOver, type RunState } from "../run/protocol";
import { RunStore } from "../run/store";
import { announce } from "../shared/announcer";
import type { ChatState, FromKernel, Patch, Request, ToKernel, Turn } from "./protocol";

/** How long a question to the kernel, and the end of an answer, may go without an echo. */
const PATIENCE = { question: 1_000, echo: 1_500, end: 1_500 };
/** A request that isn't answered is said again so often; the time between doubles. */
const TRIES = 5;
const SLOW = "The kernel hasn't answered yet; a cell may keep it busy.";

export interface Notice {
  text: string;
  tone: "calm" | "bad";
}

export class ChatStore {
  state: ChatState;
  /** Whether the kernel is gone: nothing can be said any more. */
  lost = false;
  notice: Notice = { text: "", tone: "calm" };
  /** What is being typed; it outlives the view. */
  draft = "";
  private readonly send: (message: ToKernel) => void;
  private readonly listeners = new Set<() => void>();
  private readonly answers = new Map<number, RunStore>();
  private readonly ends: (() => void)[] = [];
  private readonly page = Math.random().toString(36).slice(2);
  private readonly unheard = new Map<string, ReturnType<typeof setTimeout>>();
  private requests = 0;
  private awaited: Request | undefined;
  private opened = false;
  private views = 0;
  private askedAt = -Infinity;
  private watch: ReturnType<typeof setTimeout> | undefined;

  constructor(state: ChatState, send: (message: ToKernel) => void) {
    this.state = state;
    this.send = send;
  }

  open(): void {
    this.opened = true;
    this.send({ kind: "hello" });
    this.follow();
  }

  close(): void {
    clearTimeout(this.watch);
    for (const timer of this.unheard.values()) clearTimeout(timer);
    for (const end of this.ends) end();
    for (const answer of this.answers.values()) answer.close();
    this.listeners.clear();
  }

  /** Call `listener` after each change but those inside of answers, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  receive(message: FromKernel): void {
    this.lost = false;
    if (message.kind === "patch") this.patch(message);
    else if (message.kind === "snapshot") this.replace(message.state);
    else if (message.kind === "turn") this.answers.get(message.turn)?.receive(message.message);
    else if (message.kind === "taken") this.taken(message.id);
    else if (message.kind === "refused") this.refused(message.text);
    else if (message.kind === "told") this.say(message.text, "calm");
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: ChatState): void {
    if (state.seq < this.state.seq) return;
    this.askedAt = -Infinity;
    for (const [turn, run] of Object.entries(state.runs)) this.answers.get(Number(turn))?.replace(run);
    this.become(state);
  }

  shown(): void {
    this.views += 1;
  }

  /** A view goes. With the last one, the kernel is told. */
  hidden(): void {
    this.views -= 1;
    if (this.views === 0) this.send({ kind: "gone" });
  }

  lose(): void {
    this.lost = true;
    for (const answer of this.answers.values()) answer.lose();
    this.tell();
  }

  /** The turns of the conversation as it is now. */
  get path(): Turn[] {
    return this.state.path.map((id) => this.state.turns[id]).filter((turn) => turn !== undefined);
  }

  /** The turns that stand in one place: a turn and its like. */
  siblings({ parent }: Turn): Turn[] {
    return this.state.turns.filter((each) => each.parent === parent);
  }

  /** Whether nothing can be asked for now. */
  get occupied(): boolean {
    return this.lost || this.state.busy !== null || this.awaited !== undefined;
  }

  /** Return the store of an answer on the path. */
  answer(turn: number): RunStore {
    const known = this.answers.get(turn);
    if (known !== undefined) return known;
    const run = this.state.runs[turn];
    const store = new RunStore(run ?? blank(), (message) => this.send({ kind: "turn", turn, message }));
    this.answers.set(turn, store);
    if (run === undefined || !isOver(run.status)) {
      this.ends.push(announceChanges(store));
      store.open();
    }
    this.ends.push(store.subscribe(() => this.expectEnd(turn, store)));
    return store;
  }

  /** Ask the kernel for something that makes turns. */
  ask(request: Request): void {
    if (this.occupied) return;
    this.awaited = request;
    if (request.kind === "send") this.draft = "";
    this.request(request);
    this.tell();
  }

  /** Ask the kernel for anything else. */
  request(request: Request): void {
    this.notice = { text: "", tone: "calm" };
    this.attempt({ ...request, id: `${this.page}-${++this.requests}` }, 1);
  }

  /** After a reload the first messages may get lost, so what isn't answered is said again; the kernel knows it by id. */
  private attempt(request: Request & { id: string }, number: number): void {
    this.send(request);
    const next = (): void => {
      if (this.notice.text !== SLOW) this.say(SLOW, "calm");
      if (number < TRIES && !this.lost) this.attempt(request, number + 1);
    };
    this.unheard.set(request.id, setTimeout(next, PATIENCE.echo * 2 ** (number - 1)));
  }

  private taken(id: string): void {
    clearTimeout(this.unheard.get(id));
    this.unheard.delete(id);
    if (this.notice.text === SLOW) this.say("", "calm");
  }

  private patch(patch: Patch): void {
    if (patch.seq <= this.state.seq) return;
    if (patch.seq > this.state.seq + 1) {
      this.resync();
      return;
    }
    const known = this.state.turns;
    const turns = [...known, ...patch.turns.filter((turn) => turn.id >= known.length)];
    this.become({ ...this.state, ...patch.set, seq: patch.seq, turns });
  }

  private become(state: ChatState): void {
    const grew = state.turns.length > this.state.turns.length;
    this.state = state;
    if (grew) this.settled();
    this.follow();
    this.tell();
  }

  /** What was asked for came, or won't. */
  private settled(): void {
    this.awaited = undefined;
  }

  /** What was refused goes back to where it was typed. */
  private refused(text: string): void {
    if (this.awaited?.kind === "send" && this.draft === "") this.draft = this.awaited.text;
    this.settled();
    this.say(text, "bad");
  }

  private say(text: string, tone: Notice["tone"]): void {
    this.notice = { text, tone };
    if (text !== "") announce(text);
    this.tell();
  }

  private follow(): void {
    if (!this.opened) return;
    for (const turn of this.path) if (turn.role === "assistant") this.answer(turn.id);
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }

  /** An answer that is over while the chat is said to be busy: a message may have been lost. */
  private expectEnd(turn: number, { state }: RunStore): void {
    if (!isOver(state.status) || this.state.busy !== turn) return;
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      if (this.state.busy === turn) this.resync();
    }, PATIENCE.end);
  }

  private resync(): void {
    if (performance.now() - this.askedAt < PATIENCE.question) return;
    this.askedAt = performance.now();
    this.send({ kind: "resync" });
  }
}

/** An answer of which nothing is known yet. */
function blank(): RunState {
  return {
    seq: -1,
    run_id: "",
    status: "starting",
    model: "",
    engine: "",
    note: "",
    queue_position: null,
    load: null,
    prefill: null,
    text: "",
    reasoning: "",
    calls: [],
    rules: [],
    rate: null,
    stats: null,
    error: null,
    output: null,
    output_error: null,
    finish_reason: null,
  };
}
