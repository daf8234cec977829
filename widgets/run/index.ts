// The run widget's front end, in anywidget's form: called once a model, so the closure holds the model's store.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { announceChanges } from "./announce";
import { watchTyping } from "./focus";
import type { FromKernel, RunState } from "./protocol";
import { RunStore } from "./store";
import { RunView } from "./view";

interface Traits {
  state: RunState;
}

export default () => {
  let store: RunStore;

  function initialize({ model }: Pick<InitializeProps<Traits>, "model">): () => void {
    store = new RunStore(model.get("state"), (message) => model.send(message));
    const ends = [announceChanges(store), watchTyping(), listen(model, store)];
    store.open();
    return () => {
      for (const end of ends) end();
      store.close();
    };
  }

  function render({ el }: Pick<RenderProps<Traits>, "el">): () => void {
    const view = new RunView(store);
    el.append(view.element);
    store.shown();
    return () => {
      view.dispose();
      store.hidden();
    };
  }

  return { initialize, render };
};

function listen(model: AnyModel<Traits>, store: RunStore): () => void {
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
