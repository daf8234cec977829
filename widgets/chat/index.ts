import { watchTyping } from "../run/focus";
import { live } from "../shared/live";
import type { ChatState, ToKernel } from "./protocol";
import { ChatStore } from "./store";
import { ChatView } from "./view";

export default live(
  (state: ChatState, send: (message: ToKernel) => void) => new ChatStore(state, send),
  (store) => new ChatView(store),
  () => [watchTyping()],
);
