import { live } from "../shared/live";
import { announceChanges } from "./announce";
import type { GridState, ToKernel } from "./protocol";
import { GridStore } from "./store";
import { GridView } from "./view";

export default live(
  (state: GridState, send: (message: ToKernel) => void) => new GridStore(state, send),
  (store) => new GridView(store),
  (store) => [announceChanges(store)],
);
