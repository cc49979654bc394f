// Runs exported files in one of onnxruntime's JavaScript packages, and prints every output of every file as JSON.
//
//   node run.mjs PACKAGES onnxruntime-node|onnxruntime-web FOLDER
//
// FOLDER/cases.json: [{file, rows, type, dims}], rows a file of little-endian float32 or float64 values.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, name, folder] = process.argv.slice(2);
const ort = createRequire(join(packages, "package.json"))(name);
if (name === "onnxruntime-web") ort.env.wasm.numThreads = 1;

function features({ rows, type, dims }) {
  const bytes = new Uint8Array(readFileSync(join(folder, rows)));
  const values = type === "float64" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
  return new ort.Tensor(type, values, dims);
}

// JSON has no NaN, no infinity and no int64: numbers travel as the base64 of their bytes.
function plain({ type, dims, data }) {
  if (type === "string") return { type, dims, data };
  return { type, dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
}

const answers = {};
for (const each of JSON.parse(readFileSync(join(folder, "cases.json"), "utf8"))) {
  // onnxruntime-web fetches what is given by name; bytes are taken by both.
  const model = new Uint8Array(readFileSync(join(folder, each.file)));
  const options = { executionProviders: [name === "onnxruntime-web" ? "wasm" : "cpu"], intraOpNumThreads: 1 };
  const session = await ort.InferenceSession.create(model, options);
  const outputs = await session.run({ features: features(each) });
  answers[each.file] = Object.fromEntries(Object.entries(outputs).map(([key, tensor]) => [key, plain(tensor)]));
  await session.release();
}
process.stdout.write(JSON.stringify(answers));
