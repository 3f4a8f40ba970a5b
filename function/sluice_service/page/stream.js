// One answer as EventSource brings it: every frame once, each to its handler, over as many connections as it takes.

import { Failure, told, unreachable } from "./api.js";

const RETRY_MS = 3_000;
const GIVE_UP_MS = 60_000;
const UNREADABLE = {
	type: "error",
	code: "unreadable_event",
	error: "The server sent something that this page cannot read.",
	detail: "Reload the page, then ask again.",
};
// Of a stream, 401 is about its ticket, which the server gave: the key is good.
const GONE = {
	what: "The answer broke off, and the server no longer has the rest.",
	why: "The server was started anew meanwhile, or too much time has passed.",
	action: "Retry asks for it again.",
};

/**
 * `on` has {chunk(text), complete(facts), error(failure), reconnecting(), connected()}: of complete and error one is called,
 * once, and nothing after it. `why(address)` throws what the address is refused with, if it is.
 */
export class AnswerStream {
	#seen = 0;
	#ended = false;
	#brokenSince = 0;
	#refusal = null;
	#timer;
	#source;

	constructor(address, on, why, { open = (to) => new EventSource(to), now = Date.now } = {}) {
		Object.assign(this, { address, on, why, open, now, id: null });
	}

	/** Listen. What an earlier connection brought is told again by the server, and passed over here. */
	start() {
		if (this.#ended || this.#source) return;
		this.#source = this.open(this.address);
		this.#source.onopen = () => this.#connected();
		this.#source.onmessage = (event) => this.#take(event);
		this.#source.onerror = () => this.#broken();
	}

	/** Close the connection, and keep the place. */
	pause() {
		clearTimeout(this.#timer);
		this.#source?.close();
		this.#source = null;
	}

	end() {
		this.#ended = true;
		this.pause();
	}

	#take({ data, lastEventId }) {
		if (this.#ended) return;
		const event = parsed(data);
		this.#connected();
		this.id = lastEventId.split(".")[0] || this.id;
		if (event.type === "error") this.#fail(new Failure(told(event) || told(UNREADABLE)));
		if (event.type === "chunk" && event.sequence > this.#seen) {
			this.#seen = event.sequence;
			this.on.chunk(event.content);
		}
		if (event.type === "complete") {
			this.end();
			this.on.complete(event);
		}
	}

	#connected() {
		if (this.#brokenSince) this.on.connected();
		this.#brokenSince = 0;
		this.#refusal = null;
	}

	#broken() {
		if (this.#ended) return;
		this.#brokenSince ||= this.now();
		if (this.now() - this.#brokenSince > GIVE_UP_MS) return this.#fail(this.#refusal ?? unreachable());
		this.on.reconnecting();
		// EventSource goes on by itself, unless it was refused.
		if (this.#source.readyState === 2) this.#refused();
	}

	async #refused() {
		this.pause();
		const failure = await this.why(this.address).then(
			() => null,
			(failure) => failure,
		);
		this.#refusal = failure;
		if (failure?.status === 401) Object.assign(failure, GONE);
		if (failure?.status >= 400 && failure.status < 500) this.#fail(failure);
		else this.#timer = setTimeout(() => this.start(), RETRY_MS);
	}

	#fail(failure) {
		if (this.#ended) return;
		this.end();
		this.on.error(failure);
	}
}

function parsed(data) {
	try {
		return JSON.parse(data) ?? UNREADABLE;
	} catch {
		return UNREADABLE;
	}
}
