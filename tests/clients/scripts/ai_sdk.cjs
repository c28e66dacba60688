// What the AI SDK hears from /v1/audio/transcriptions with each model name, as one line of JSON.
// NODE_PATH names the client's packages. Arguments: base URL, a wav.
const fs = require("fs");
const { createOpenAI } = require("@ai-sdk/openai");
const { experimental_transcribe: transcribe } = require("ai");

const [baseURL, path] = process.argv.slice(2);
const openai = createOpenAI({ baseURL, apiKey: "-" });
const asked = {
  words: ["whisper-1", { timestampGranularities: ["word"] }],
  segments: ["whisper-1", { timestampGranularities: ["segment"], language: "en", temperature: 0 }],
  plain: ["gpt-4o-transcribe", { include: ["logprobs"] }],
  diarized: ["gpt-4o-transcribe-diarize", {}],
};

(async () => {
  const heard = {};
  for (const [name, [model, options]] of Object.entries(asked)) {
    const found = await transcribe({
      model: openai.transcription(model),
      audio: fs.readFileSync(path),
      providerOptions: { openai: options },
    });
    heard[name] = { text: found.text, segments: found.segments, warnings: found.warnings };
  }
  console.log(JSON.stringify(heard));
})();
