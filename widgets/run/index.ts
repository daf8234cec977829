import { live } from "../shared/live";
import { announceChanges } from "./announce";
import { watchTyping } from "./focus";
import type { RunState, ToKernel } from "./protocol";
import { RunStore } from "./store";
import { RunView } from "./view";

export default live(
  (state: RunState, send: (message: ToKernel) => void) => new RunStore(state, send),
  (store) => new RunView(store),
  (store) => [announceChanges(store), watchTyping()],
);
