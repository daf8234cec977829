// A live widget's front end, in anywidget's form: called once a model, so the closure holds the model's store.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";

/** What a page knows of a state that the kernel keeps up to date. */
export interface LiveStore<State, FromKernel> {
  /** Tell the kernel that a page is here. */
  open(): void;
  close(): void;
  receive(message: FromKernel): void;
  /** Take a whole state. */
  replace(state: State): void;
  /** The kernel is gone. */
  lose(): void;
  /** A view opens on this page. */
  shown(): void;
  /** A view goes. */
  hidden(): void;
}

export interface LiveView {
  readonly element: HTMLElement;
  dispose(): void;
}

interface Traits<State> {
  state: State;
}

/**
 * Return a widget's default export.
 *
 * @param makeStore Makes the model's store, from its first state and what sends a message to the kernel.
 * @param makeView Makes a view; there may be any number of them.
 * @param follow Begins what follows the store without a view; each function that it returns ends one such thing.
 */
export function live<State, FromKernel, ToKernel, Store extends LiveStore<State, FromKernel>>(
  makeStore: (state: State, send: (message: ToKernel) => void) => Store,
  makeView: (store: Store) => LiveView,
  follow: (store: Store) => (() => void)[] = () => [],
) {
  return () => {
    let store: Store;

    function initialize({ model }: Pick<InitializeProps<Traits<State>>, "model">): () => void {
      store = makeStore(model.get("state"), (message) => model.send(message));
      const ends = [...follow(store), listen(model, store)];
      store.open();
      return () => {
        for (const end of ends) end();
        store.close();
      };
    }

    function render({ el }: Pick<RenderProps<Traits<State>>, "el">): () => void {
      const view = makeView(store);
      el.append(view.element);
      store.shown();
      return () => {
        view.dispose();
        store.hidden();
      };
    }

    return { initialize, render };
  };
}

function listen<State, FromKernel>(
  model: AnyModel<Traits<State>>,
  store: LiveStore<State, FromKernel>,
): () => void {
  const onMessage = (message: FromKernel): void => store.receive(message);
  const onState = (): void => store.replace(model.get("state"));
  // Backbone's event in ipywidgets, on every model when the kernel restarts; other hosts don't have it.
  const onComm = (): void => store.lose();
  model.on("msg:custom", onMessage);
  model.on("change:state", onState);
  model.on("comm_live_update", onComm);
  return () => {
    model.off("msg:custom", onMessage);
    model.off("change:state", onState);
    model.off("comm_live_update", onComm);
  };
}
