// The AI SDK, as its users call it; what they get is printed as one JSON object.
// ai_sdk.mjs stream|generate, with SLUICE_URL and SLUICE_API_KEY in the environment.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const sluice = createOpenAICompatible({
  name: "sluice",
  baseURL: `${process.env.SLUICE_URL}/v1`,
  apiKey: process.env.SLUICE_API_KEY,
  includeUsage: true,
});
const question = { model: sluice("assistant"), prompt: "hi" };
const got = { text: "", finishReason: null, usage: null, error: null };

const end = ({ finishReason, usage }) => Object.assign(got, { finishReason, usage });

function fail(error) {
  const { name, message, statusCode, isRetryable, data } = error;
  got.error = { name, message: message ?? String(error), statusCode, isRetryable, code: data?.error?.code };
}

const ways = {
  async stream() {
    for await (const part of streamText({ ...question, onError() {} }).fullStream) {
      if (part.type === "text-delta") got.text += part.text;
      if (part.type === "error") fail(part.error);
      if (part.type === "finish") end({ finishReason: part.finishReason, usage: part.totalUsage });
    }
  },
  async generate() {
    const result = await generateText(question);
    got.text = result.text;
    end(result);
  },
};

try {
  await ways[process.argv[2]]();
} catch (error) {
  fail(error);
}
console.log(JSON.stringify(got));
