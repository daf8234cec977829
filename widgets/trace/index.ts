// The timeline's front end, in anywidget's form: called once a model, so the closure holds the model's store.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { FromKernel, TraceState } from "./protocol";
import { TraceStore } from "./store";
import { TraceView } from "./view";

interface Traits {
  state: TraceState;
}

export default () => {
  let store: TraceStore;

  function initialize({ model }: Pick<InitializeProps<Traits>, "model">): () => void {
    store = new TraceStore(model.get("state"), (message) => model.send(message));
    const end = listen(model, store);
    store.open();
    return () => {
      end();
      store.close();
    };
  }

  function render({ el }: Pick<RenderProps<Traits>, "el">): () => void {
    const view = new TraceView(store);
    el.append(view.element);
    store.shown();
    return () => {
      view.dispose();
      store.hidden();
    };
  }

  return { initialize, render };
};

function listen(model: AnyModel<Traits>, store: TraceStore): () => void {
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
