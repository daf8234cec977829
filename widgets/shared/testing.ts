import type { AnyModel } from "@anywidget/types";

/** A model as anywidget gives it, with the kernel's part played by the test. */
export class FakeModel<State> {
  readonly sent: unknown[] = [];
  private readonly handlers = new Map<string, Set<(message?: unknown) => void>>();

  constructor(private value: State) {}

  get(): State {
    return this.value;
  }

  on(name: string, handler: () => void): void {
    this.handlers.set(name, (this.handlers.get(name) ?? new Set()).add(handler));
  }

  off(name: string, handler: () => void): void {
    this.handlers.get(name)?.delete(handler);
  }

  send(message: unknown): void {
    this.sent.push(message);
  }

  tell(name: string, message?: unknown): void {
    for (const handler of this.handlers.get(name) ?? []) handler(message);
  }

  /** Let a message come from the kernel. */
  deliver(message: unknown): void {
    this.tell("msg:custom", message);
  }

  /** Let the kernel set the whole state. */
  push(value: State): void {
    this.value = value;
    this.tell("change:state");
  }

  get asModel(): AnyModel<{ state: State }> {
    return this as unknown as AnyModel<{ state: State }>;
  }
}
