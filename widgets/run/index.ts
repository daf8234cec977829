// The run widget's front end, in anywidget's form: called once a model, so the closure holds the model's store.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { announceChanges } from "./announce";
import type { FromKernel, RunState } from "./protocol";
import { RunStore } from "./store";
import { RunView } from "./view";

interface Traits {
  state: RunState;
}

export default () => {
  let store: RunStore;
  let views = 0;

  function initialize({ model }: Pick<InitializeProps<Traits>, "model">): () => void {
    store = new RunStore(model.get("state"), (message) => model.send(message));
    const stopAnnouncing = announceChanges(store);
    const stopListening = listen(model, store);
    store.open();
    return () => {
      stopListening();
      stopAnnouncing();
      store.close();
    };
  }

  function render({ el }: Pick<RenderProps<Traits>, "el">): () => void {
    const view = new RunView(store);
    el.append(view.element);
    views += 1;
    return () => {
      view.dispose();
      views -= 1;
      if (views === 0) store.gone();
    };
  }

  return { initialize, render };
};

function listen(model: AnyModel<Traits>, store: RunStore): () => void {
  const onMessage = (message: FromKernel): void => store.receive(message);
  const onState = (): void => store.replace(model.get("state"));
  model.on("msg:custom", onMessage);
  model.on("change:state", onState);
  return () => {
    model.off("msg:custom", onMessage);
    model.off("change:state", onState);
  };
}
