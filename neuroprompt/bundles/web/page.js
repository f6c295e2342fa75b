// The page: an image that is chosen, dropped or pasted goes through the model here; nothing leaves the machine.
"use strict";

const settings = JSON.parse(document.getElementById("settings").textContent);
const byId = (id) => document.getElementById(id);
const carried = {};  // files as text, for a page that was opened from a disk

// A file of this folder. A page that was opened from a disk may not read files, but scripts: each file is there twice.
async function fileOfFolder(name) {
  if (location.protocol !== "file:") {
    const answer = await fetch(name);
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    return answer.arrayBuffer();
  }
  await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    [script.src, script.onload] = [`${name}.js`, resolve];
    script.onerror = () => reject(new Error(`${name}.js is not there: serve this folder (python -m http.server)`));
    document.head.append(script);
  });
  const packed = Uint8Array.from(atob(carried[name]), (character) => character.charCodeAt(0));
  delete carried[name];
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function opened() {
  const [glue, binary] = settings.runtime;
  const address = URL.createObjectURL(new Blob([await fileOfFolder(glue)], { type: "text/javascript" }));
  ort.env.wasm.wasmPaths = { mjs: address };
  ort.env.wasm.wasmBinary = await fileOfFolder(binary);
  ort.env.wasm.numThreads = 1;  // more need a server that isolates the page
  return ort.InferenceSession.create(await fileOfFolder(settings.model));
}

const session = opened();

// {logits, top: [[class, probability], ...], ms: {read, model}} of an image file.
async function classify(file) {
  const model = await session, start = performance.now();
  const image = Pixels.fitted(await Pixels.read(file, settings.exif), settings);
  const input = new ort.Tensor("float32", Pixels.normalised(image, settings), [1, 3, ...settings.canvas]);
  const ready = performance.now();
  const answer = await model.run({ [model.inputNames[0]]: input });
  const done = performance.now();
  const logits = Array.from(answer[model.outputNames[0]].data);
  const largest = Math.max(...logits), parts = logits.map((logit) => Math.exp(logit - largest));
  const sum = parts.reduce((a, b) => a + b, 0);
  const order = logits.map((_, i) => i).sort((a, b) => logits[b] - logits[a]).slice(0, 5);
  const top = order.map((i) => [settings.classes[i], parts[i] / sum]);
  return { logits, top, ms: { read: ready - start, model: done - ready } };
}

function say(text) {
  byId("state").textContent = text;
}

let asked = 0;

async function show(file) {
  const turn = ++asked;
  say("...");
  byId("top").replaceChildren();
  if (byId("image").src) URL.revokeObjectURL(byId("image").src);
  byId("image").src = URL.createObjectURL(file);
  byId("image").alt = file.name;
  byId("image").hidden = false;
  try {
    const { top, ms } = await classify(file);
    if (turn !== asked) return;
    byId("top").replaceChildren(...top.map(([label, share]) => {
      const row = document.createElement("li"), name = document.createElement("span");
      const bar = document.createElement("meter"), percent = document.createElement("output");
      name.textContent = label;
      bar.value = share;
      percent.textContent = `${(100 * share).toFixed(1)} %`;
      row.append(name, bar, percent);
      return row;
    }));
    say(`${ms.model.toFixed(1)} ms in the model, ${ms.read.toFixed(1)} ms to read the image`);
  } catch (error) {
    if (turn === asked) say(`cannot classify ${file.name}: ${error.message ?? error}`);
  }
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) show(event.target.files[0]);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) show(event.clipboardData.files[0]);
});
session.then(() => say("ready"), (error) => say(`the model cannot be opened: ${error.message ?? error}`));
