// Kinglet in a bench of several engines: an adapter of the kind `load(modelUrl)`, `generate(…)`, `generateBatch(…)`. It is served beside dist/,
// which `npm run build` makes, and imports only the published package. Options: { backend: "cpu" | "webgpu", quant: "Q8_0", exact: false }.

export default class Kinglet {
  constructor(options) {
    this.options = { backend: "cpu", quant: "Q8_0", exact: false, ...options };
  }

  async load(modelUrl) {
    const { backend, quant, exact } = this.options;
    const { createEngine } = await import(new URL("../../dist/engine.js", import.meta.url).href);
    const name = new URL(modelUrl).pathname.split("/").filter(Boolean).pop();
    this.engine = await createEngine({ model: `${modelUrl}gguf/${name}-${quant}.gguf`, device: backend, exact });
    const { device, variants } = this.engine.info;
    if (device.kind !== backend) throw new Error(`wanted ${backend}, got ${device.kind}: ${device.reason}`);
    this.info = { backend, adapter: device.adapter, variants, quant, exact };
  }

  async generate({ promptTokens, maxTokens, sample, seed }) {
    const { tokens, ttftMs, decodeMs } = await this.#run({ promptTokens, maxTokens, count: 1, sample, seed });
    return { tokens: tokens[0], ttftMs, decodeMs };
  }

  async generateBatch({ promptTokens, maxTokens, n }) {
    return this.#run({ promptTokens, maxTokens, count: n, sample: true, seed: 1 });
  }

  async #run({ promptTokens, maxTokens, count, sample, seed = 1 }) {
    const tokens = Array.from({ length: count }, () => []);
    const sampling = sample ? { temperature: 0.8, topK: 40, topP: 1, minP: 0 } : { temperature: 0 };
    const request = { tokens: promptTokens, maxTokens, count, seed, repetitionPenalty: 1, ignoreEnd: true, fresh: true, ...sampling };
    const start = performance.now();
    let first;
    let last = start;
    for await (const step of this.engine.generate(request)) {
      last = performance.now();
      first ??= last;
      tokens[step.index].push(step.token);
    }
    return { tokens, ttftMs: (first ?? last) - start, decodeMs: last - (first ?? last) };
  }
}
