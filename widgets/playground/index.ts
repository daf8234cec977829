import { announceChanges } from "../run/announce";
import { watchTyping } from "../run/focus";
import type { RunStore } from "../run/store";
import { live } from "../shared/live";
import type { PlaygroundState, ToKernel } from "./protocol";
import { PlaygroundStore } from "./store";
import { PlaygroundView } from "./view";

export default live(
  (state: PlaygroundState, send: (message: ToKernel) => void) => new PlaygroundStore(state, send),
  (store) => new PlaygroundView(store),
  (store) => [announceAnswers(store), watchTyping()],
);

/** Announce what becomes of each answer that is shown. */
function announceAnswers(store: PlaygroundStore): () => void {
  let answer: RunStore | undefined;
  let end = (): void => undefined;
  const follow = (): void => {
    if (answer === store.answer) return;
    end();
    answer = store.answer;
    end = answer === undefined ? () => undefined : announceChanges(answer);
  };
  follow();
  const unsubscribe = store.subscribe(follow);
  return () => {
    unsubscribe();
    end();
  };
}
