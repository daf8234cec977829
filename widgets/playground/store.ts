// The playground as this page knows it: patches in order, a snapshot wherever one is missing, and what is being typed.

import { isOver } from "../run/protocol";
import { RunStore } from "../run/store";
import type { LiveStore } from "../shared/live";
import type { Changes, Form, FromKernel, PlaygroundState, ToKernel } from "./protocol";

/** What is typed is sent when there was a pause, in milliseconds. */
const PAUSE = 200;

export class PlaygroundStore implements LiveStore<PlaygroundState, FromKernel> {
  state: PlaygroundState;
  /** Whether the kernel is gone: nothing can be run any more. */
  lost = false;
  /** The answer that is shown. */
  answer: RunStore | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly page = Math.random().toString(36).slice(2);
  private unsent: Changes = {};
  private count = 0;
  private views = 0;
  private pause: ReturnType<typeof setTimeout> | undefined;

  constructor(
    state: PlaygroundState,
    private readonly send: (message: ToKernel) => void,
  ) {
    this.state = state;
    this.showAnswer();
  }

  open(): void {
    this.send({ kind: "hello" });
    this.answer?.open();
    window.addEventListener("pagehide", this.flush);
  }

  close(): void {
    this.flush();
    window.removeEventListener("pagehide", this.flush);
    this.answer?.close();
    this.listeners.clear();
  }

  /** Call `listener` after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** What is filled in here, with what the kernel hasn't heard of yet. */
  get form(): Form {
    return merged(this.state.form, this.unsent);
  }

  get running(): boolean {
    return !this.lost && this.answer !== undefined && !isOver(this.answer.state.status);
  }

  receive(message: FromKernel): void {
    this.lost = false;
    if (message.kind === "snapshot") this.replace(message.state);
    else if (message.kind === "patch") {
      if (message.seq > this.state.seq + 1) this.send({ kind: "resync" });
      else if (message.seq > this.state.seq) this.become({ ...this.state, ...message.set, seq: message.seq });
    } else if (message.kind === "answer" && message.run === this.state.shown) {
      const { running } = this;
      this.answer?.receive(message.message);
      if (this.running !== running) this.tell();
    }
  }

  /** Take a whole state, unless it is older than what is here. */
  replace(state: PlaygroundState): void {
    if (state.seq < this.state.seq) return;
    this.become(state);
  }

  lose(): void {
    this.lost = true;
    this.answer?.lose();
    this.tell();
  }

  shown(): void {
    this.views += 1;
    this.answer?.shown();
  }

  hidden(): void {
    this.views -= 1;
    this.flush();
    this.answer?.hidden();
    if (this.views === 0) this.send({ kind: "gone" });
  }

  edit(changes: Changes): void {
    const fields = { ...this.unsent.fields, ...changes.fields };
    this.unsent = { ...this.unsent, ...changes, ...(Object.keys(fields).length > 0 ? { fields } : {}) };
    clearTimeout(this.pause);
    this.pause = setTimeout(this.flush, PAUSE);
    this.tell();
  }

  /** Set one setting; an empty text leaves it to the session. */
  set(name: string, text: string): void {
    this.edit({ fields: { [name]: text } });
  }

  run(): void {
    this.flush();
    this.send({ kind: "run" });
  }

  stop(): void {
    this.send({ kind: "stop" });
  }

  choose(run: string): void {
    this.flush();
    this.send({ kind: "choose", run });
  }

  private readonly flush = (): void => {
    clearTimeout(this.pause);
    if (Object.keys(this.unsent).length === 0) return;
    const form = this.unsent;
    this.unsent = {};
    this.state = { ...this.state, form: merged(this.state.form, form) };
    this.send({ kind: "edit", page: this.page, count: ++this.count, form });
  };

  private become(state: PlaygroundState): void {
    const { page, count } = state.edited;
    const late = page === this.page && count < this.count; // what this page has sent since isn't in it
    this.state = late ? { ...state, form: this.state.form } : state;
    if (this.answer?.state.run_id !== (state.shown ?? undefined)) this.showAnswer(true);
    else if (state.answer !== null && state.answer.run_id === state.shown) this.answer?.replace(state.answer);
    this.tell();
  }

  private showAnswer(open = false): void {
    const { shown, answer } = this.state;
    this.answer?.close();
    this.answer = undefined;
    if (shown === null || answer === null || answer.run_id !== shown) return;
    this.answer = new RunStore(answer, (message) => this.send({ kind: "answer", run: shown, message }));
    if (open) this.answer.open();
    for (let view = 0; view < this.views; view++) this.answer.shown();
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

function merged(form: Form, changes: Changes): Form {
  return { ...form, ...changes, fields: { ...form.fields, ...changes.fields } };
}
