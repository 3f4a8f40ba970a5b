// EventSource, as a page uses it: one turn for each address, all at once.
// event_source.mjs [--stay] ADDRESS...   A page closes at the end; with --stay it leaves that to EventSource.
// Printed is a JSON array: for each turn its events, how many of them there were at each error event, and the last state.
import { EventSource } from "eventsource";

const stays = process.argv[2] === "--stay";

function listen(address) {
  return new Promise((resolve) => {
    const got = { events: [], errors: [], code: null };
    const source = new EventSource(address);
    const finish = () => resolve({ ...got, readyState: source.readyState });
    source.onmessage = (event) => {
      const body = JSON.parse(event.data);
      got.events.push({ ...body, id: event.lastEventId });
      if (body.type === "chunk" || stays) return;
      source.close();
      finish();
    };
    source.onerror = (event) => {
      got.errors.push(got.events.length);
      if (source.readyState !== EventSource.CLOSED) return;
      got.code = event.code ?? null;
      finish();
    };
  });
}

console.log(JSON.stringify(await Promise.all(process.argv.slice(stays ? 3 : 2).map(listen))));
