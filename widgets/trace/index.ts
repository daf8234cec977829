import { live } from "../shared/live";
import type { ToKernel, TraceState } from "./protocol";
import { TraceStore } from "./store";
import { TraceView } from "./view";

export default live(
  (state: TraceState, send: (message: ToKernel) => void) => new TraceStore(state, send),
  (store) => new TraceView(store),
);
