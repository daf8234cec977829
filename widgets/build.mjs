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
