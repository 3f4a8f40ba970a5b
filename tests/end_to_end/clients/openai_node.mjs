// openai for Node, as its users call it; what they get is printed as one JSON object.
// openai_node.mjs stream|plain|abort, with SLUICE_URL and SLUICE_API_KEY in the environment.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.SLUICE_URL}/v1`, apiKey: process.env.SLUICE_API_KEY });
const question = { model: "assistant", messages: [{ role: "user", content: "hi" }] };
const got = { text: "", finishReasons: [] };

function take(chunk) {
  for (const choice of chunk.choices) {
    got.text += choice.delta.content ?? "";
    if (choice.finish_reason) got.finishReasons.push(choice.finish_reason);
  }
  if (chunk.usage) got.usage = chunk.usage;
}

const ways = {
  async stream() {
    const body = { ...question, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(body)) take(chunk);
  },
  async plain() {
    const completion = await client.chat.completions.create(question);
    const [choice] = completion.choices;
    Object.assign(got, { text: choice.message.content, finishReasons: [choice.finish_reason], usage: completion.usage });
  },
  async abort() {
    const controller = new AbortController();
    const options = { signal: controller.signal };
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true }, options)) {
      take(chunk);
      if (got.text) controller.abort();
    }
  },
};

try {
  await ways[process.argv[2]]();
} catch (error) {
  const { status, code, type, message } = error;
  got.error = { name: error.constructor.name, status, code, type, message };
}
console.log(JSON.stringify(got));
