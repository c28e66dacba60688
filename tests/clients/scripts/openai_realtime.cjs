// What the openai SDK for Node hears from /v1/realtime over TLS, as one line of JSON.
// NODE_PATH names the client's packages, NODE_EXTRA_CA_CERTS who signed. Arguments: base URL, a wav at 16 kHz.
const fs = require("fs");
const { OpenAI } = require("openai");
const { OpenAIRealtimeWS } = require("openai/realtime/ws");

const [baseURL, path] = process.argv.slice(2);
const sound = Buffer.concat([fs.readFileSync(path).subarray(44), Buffer.alloc(32_000)]);
const format = { type: "audio/pcm", rate: 16_000 };
const completed = "conversation.item.input_audio_transcription.completed";

async function hear(apiKey, session) {
  const client = new OpenAI({ apiKey, baseURL });
  const socket = new OpenAIRealtimeWS({ intent: "transcription" }, client);
  const seen = { types: [], texts: [], errors: [], secure: socket.url.protocol };
  return new Promise((resolve) => {
    socket.on("error", (error) => seen.errors.push(error.error?.code ?? String(error)));
    socket.socket.on("close", (code, reason) => resolve({ ...seen, closed: [code, reason.toString()] }));
    socket.on("event", (event) => {
      if (seen.types.at(-1) !== event.type) seen.types.push(event.type);
      if (event.type === "session.created") {
        if (session) socket.send({ type: "session.update", session });
        for (let start = 0; start < sound.length; start += 3_200) {
          const audio = sound.subarray(start, start + 3_200).toString("base64");
          socket.send({ type: "input_audio_buffer.append", audio });
        }
      }
      if (event.type === completed && seen.texts.push(event.transcript) === 3) socket.close();
    });
  });
}

async function main() {
  const session = { type: "transcription", audio: { input: { format } } };
  const client = new OpenAI({ apiKey: "none", baseURL });
  const secret = await client.realtime.clientSecrets.create({ session });
  console.log(
    JSON.stringify({
      plain: await hear("none", session),
      secret: await hear(secret.value, null),
      refused: await hear("ek_nobody", session),
    }),
  );
}

main();
