// For tests: states as the kernel would send them.

import { state as answer } from "../run/testing";
import type { Control, PlaygroundState } from "./protocol";

export { answer };

export function control(changes: Partial<Control> = {}): Control {
  const slider = { least: 0, most: 5, step: 0.05 };
  return { name: "temperature", kind: "number", slider, optional: false, help: "0 is greedy decoding.", ...changes };
}

export function state(changes: Partial<PlaygroundState> = {}): PlaygroundState {
  return {
    seq: 0,
    playground_id: "abc",
    kept: "llmkit-playground-kept-abc",
    controls: [
      control(),
      control({ name: "seed", kind: "integer", slider: null, optional: true }),
      control({ name: "stop", kind: "strings", slider: null }),
      control({ name: "reasoning", kind: "switch", slider: null, optional: true }),
    ],
    models: ["SmolLM2"],
    own: { model: "SmolLM2", system: "", fields: { temperature: "0.7", seed: "", stop: "", reasoning: "" } },
    form: { prompt: "Hi", system: "", model: "", fields: {} },
    edited: { page: "", count: 0 },
    errors: {},
    runs: [],
    shown: null,
    code: "",
    answer: null,
    ...changes,
  };
}
