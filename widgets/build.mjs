// Bundles each widget into the Python package: llmkit/static/<widget>.js and .css.
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const settings = {
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  entryPoints: [
    { in: "run/index.ts", out: "run" },
    { in: "run/run.css", out: "run" },
    { in: "trace/index.ts", out: "trace" },
    { in: "trace/trace.css", out: "trace" },
    { in: "tokens/index.ts", out: "tokens" },
    { in: "tokens/tokens.css", out: "tokens" },
    { in: "grid/index.ts", out: "grid" },
    { in: "grid/grid.css", out: "grid" },
    { in: "chat/index.ts", out: "chat" },
    { in: "chat/chat.css", out: "chat" },
    { in: "playground/index.ts", out: "playground" },
    { in: "playground/playground.css", out: "playground" },
  ],
  outdir: "../llmkit/static",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "eof",
  logLevel: "info",
};

if (process.argv.includes("--watch")) {
  const context = await esbuild.context(settings);
  await context.watch();
} else {
  await esbuild.build(settings);
}
