// What a session of @openai/agents-realtime makes of a stream, as one line of JSON.
// NODE_PATH names the client's packages. Arguments: WebSocket URL, a wav at 16 kHz.
const fs = require("fs");
const { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } = require("@openai/agents-realtime");

const [url, path] = process.argv.slice(2);
const sound = Buffer.concat([fs.readFileSync(path).subarray(44), Buffer.alloc(32_000)]);

async function main() {
  const session = new RealtimeSession(new RealtimeAgent({ name: "listener", instructions: "Listen." }), {
    transport: new OpenAIRealtimeWebSocket({ url }),
    model: "gpt-realtime",
    config: { audio: { input: { format: { type: "audio/pcm", rate: 16_000 } } } },
  });
  const seen = { types: [], errors: [] };
  session.on("error", (error) => seen.errors.push(JSON.stringify(error)));
  const over = new Promise((resolve) => {
    let retrieved = 0;
    session.transport.on("*", (event) => {
      if (seen.types.at(-1) !== event.type) seen.types.push(event.type);
      if (event.type === "conversation.item.retrieved" && ++retrieved === 3) resolve();
    });
  });
  await session.connect({ apiKey: "none" });
  for (let start = 0; start < sound.length; start += 3_200) {
    const piece = sound.subarray(start, start + 3_200);
    session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length));
  }
  await over;
  seen.history = session.history.map((item) => [item.role, item.content.map((part) => part.transcript)]);
  session.close();
  console.log(JSON.stringify(seen));
  process.exit(0);
}

main();
