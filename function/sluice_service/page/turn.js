// One question and its answer: streamed where that is possible, asked for whole where it is not.

import { AnswerStream } from "./stream.js";

const MAX_ANSWER_MS = 3_600_000;

/**
 * `question` is {text, agent, conversation, turn, route}, without a route for a plain request. `on` has {chunk, reconnecting,
 * connected} of AnswerStream, opened(address), and ended(state, told), called once: final with facts, stopped, or failed
 * with a failure.
 */
export class Turn {
	#abort = new AbortController();
	#stream;
	#ended = false;

	constructor(api, question, on) {
		Object.assign(this, { api, question, on });
	}

	/** Ask. What was begun at `address` before is listened to again. */
	async start(address) {
		try {
			if (this.question.route) this.#listen(address ?? (await this.#address()));
			else await this.#whole();
		} catch (failure) {
			this.#fail(failure);
		}
	}

	/** End it, on the server too. What has come of the answer stays. */
	async stop() {
		this.#abort.abort();
		const stream = this.#stream;
		const id = stream && (stream.id ?? (await this.api.streamAt(stream.address).catch(() => null)));
		// Where that fails: without a reader it ends by itself, a little later.
		if (id) await this.api.cancel(id).catch(() => {});
		stream?.end();
		this.#end("stopped");
	}

	pause = () => this.#stream?.pause();
	resume = () => this.#stream?.start();

	async #address() {
		const { text, turn, route, agent, conversation } = this.question;
		const { ticket } = await this.api.ticket({ route, message: text, turn }, this.#abort.signal);
		const query = new URLSearchParams({ conversation_id: conversation, model: agent, token: ticket });
		return `${route.slice(1)}?${query}`;
	}

	#listen(address) {
		const on = { ...this.on, complete: (facts) => this.#end("final", facts), error: (failure) => this.#fail(failure) };
		this.on.opened(address);
		this.#stream = new AnswerStream(address, on, this.api.streamAt);
		this.#stream.start();
	}

	async #whole() {
		const { text, agent, conversation, turn } = this.question;
		const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(MAX_ANSWER_MS)]);
		const body = { message: text, model: agent, conversation_id: conversation, stream: false };
		const answer = await this.api.ask(body, turn, signal);
		this.on.chunk(answer.content);
		this.#end("final", answer);
	}

	#fail(failure) {
		if (this.#abort.signal.aborted) return this.#end("stopped");
		const plain = ["streaming_disabled", "invalid_request"].includes(failure.code) && this.question.route;
		if (!plain) return this.#end("failed", failure);
		// Streaming was switched off meanwhile, or the message is too long for an address.
		this.#stream = null;
		this.question = { ...this.question, route: null };
		this.start();
	}

	#end(...how) {
		if (!this.#ended) this.on.ended(...how);
		this.#ended = true;
	}
}
