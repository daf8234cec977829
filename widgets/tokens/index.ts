import { live } from "../shared/live";
import type { ToKernel, TokensState } from "./protocol";
import { TokensStore } from "./store";
import { TokensView } from "./view";

export default live(
  (state: TokensState, send: (message: ToKernel) => void) => new TokensStore(state, send),
  (store) => new TokensView(store),
);
