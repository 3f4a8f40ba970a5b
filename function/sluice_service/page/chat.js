// The conversation on screen: what is asked, what is answered, and what may be sent meanwhile.

import { Announcer } from "./announcer.js";
import { Conversations } from "./conversations.js";
import { make, ui } from "./dom.js";
import { Message } from "./message.js";
import { clockOf, panel, secondsUntil } from "./panel.js";
import { Transcript } from "./transcript.js";
import { Turn } from "./turn.js";

const PAGE = 100; // messages
const MAX_PAGES = 100;
const BUSY = "One message at a time";
// Each with what the status says, what the prompt says, and what is announced when it begins.
const STATES = {
	loading: ["Loading…", "The messages are being loaded"],
	ready: ["Ready", "Write a message"],
	limited: ["Limit reached"],
	waiting: ["Waiting", BUSY],
	answering: ["Answering", BUSY],
	reconnecting: ["Reconnecting…", BUSY, "The connection was lost. Reconnecting."],
	stopping: ["Stopping…", "The answer is being stopped"],
};

/** An id that nobody has. Not randomUUID, which a page that came over plain HTTP lacks. */
const newId = () => crypto.getRandomValues(new BigUint64Array(2)).join("-");
const note = (text) => make("p", { className: "note" }, text);

export class Chat {
	#turns = new Map(); // those that run, by conversation
	#limitedUntil = 0;

	constructor(api, agents, streams, ask) {
		Object.assign(this, { api, agents, streams });
		this.announcer = new Announcer(ui.announcer);
		this.transcript = new Transcript();
		const failed = (failure) => this.#failed(failure, () => this.open(location.hash.slice(1)));
		this.list = new Conversations(api, ask, {
			open: (id) => this.open(id, true),
			deleted: (id) => {
				this.#turns.get(id)?.turn.stop();
				if (id === this.id) this.open("", true);
			},
			failed,
		});
		ui.agent.append(...agents.map(({ id, name }) => make("option", { value: id }, name)));
		ui.agent.onchange = () => this.open("", true);
		ui.again.onclick = () => this.api.startAgain(this.agent.id).then(() => this.open("", true), failed);
	}

	get agent() {
		return this.agents.find((agent) => agent.id === ui.agent.value);
	}

	/** Show a conversation; without an id, begin one. `push`: as a new place in the tab's history. */
	async open(id, push = false) {
		const opening = (this.opening = {});
		this.id = id || newId();
		const running = this.#turns.get(this.id);
		if (push) history.pushState(null, "", id ? `#${id}` : location.pathname);
		this.list.mark(id);
		this.announcer.forget();
		this.transcript.show(running?.messages ?? []);
		this.#show(running ? "answering" : "loading");
		try {
			const { agent, messages = [] } = running ?? (id ? await this.#stored(id).catch((failure) => this.#unsent(failure)) : {});
			if (this.opening !== opening) return;
			if (this.agents.some((each) => each.id === agent)) ui.agent.value = agent;
			const standing = this.agent.onboarding_steps ? await this.api.onboarding(this.agent.id) : null;
			if (this.opening !== opening) return;
			ui.about.textContent = this.agent.description;
			this.#guide(standing);
			if (running) return;
			this.transcript.show(messages.map(this.#shown));
			this.#show("ready");
			if (!id && standing?.question) this.transcript.add(this.#message("assistant", standing.question));
			this.#goOn(messages);
		} catch (failure) {
			if (this.opening !== opening) return;
			this.#failed(failure, () => this.open(id));
			if (!running) this.#show("ready");
		}
	}

	/** Whether it was sent. */
	send(text) {
		if (!text.trim() || !this.#isFree()) return false;
		// What failed before stays behind.
		for (const button of ui.column.querySelectorAll(".retry")) button.remove();
		const guide = this.agents.find((agent) => agent.onboarding_steps);
		const route = this.agent === guide ? "/chat/onboarding-stream" : "/chat/stream";
		const question = { text, agent: this.agent.id, conversation: this.id, turn: newId(), route: this.streams && route };
		this.transcript.add(this.#message("user", text));
		this.transcript.toEnd();
		history.replaceState({ question }, "", `#${this.id}`);
		this.list.mark(this.id);
		this.#ask(question);
		return true;
	}

	stop() {
		const running = this.#turns.get(this.id);
		if (!running || this.state === "stopping") return;
		this.#show("stopping");
		running.turn.stop();
	}

	/** The page is left; what was begun goes on when it is back. */
	pause = () => this.#turns.forEach(({ turn }) => turn.pause());
	resume = () => this.#turns.forEach(({ turn }) => turn.resume());

	#isFree() {
		const free = this.state === "ready";
		if (!free) this.announcer.say(ui.prompt.placeholder);
		return free;
	}

	/** The answer to a question: a new one, or that which was begun at an address before. */
	#ask(question, address) {
		const answer = this.#message("assistant", "", "waiting");
		const here = () => this.id === question.conversation;
		const show = (state) => here() && ![state, "stopping"].includes(this.state) && this.#show(state);
		const again = () => {
			if (!this.#isFree()) return;
			this.transcript.remove(answer);
			this.#ask(question);
			ui.prompt.focus();
		};
		// Where that fails, it is there when the list is loaded next.
		const list = () => this.list.refresh(question.conversation).catch(() => {});
		let listed;
		const turn = new Turn(this.api, question, {
			opened: (at) => here() && history.replaceState({ question, address: at }, ""),
			chunk: (piece) => {
				answer.add(piece);
				listed ??= list();
				if (here()) this.announcer.hear(piece);
				show("answering");
			},
			reconnecting: () => show("reconnecting"),
			connected: () => show("answering"),
			ended: (state, told) => {
				this.#turns.delete(question.conversation);
				const { words, below } = this.#ending(state, told, again);
				answer.finish(state, below);
				list();
				if (!here()) return;
				history.replaceState(state === "failed" ? { question, ended: true } : null, "");
				this.announcer.end(words);
				if (told?.total) this.#guide(told);
				if (document.activeElement === ui.stop) ui.prompt.focus();
				this.#show("ready");
			},
		});
		this.transcript.add(answer);
		this.#turns.set(question.conversation, { turn, agent: question.agent, messages: this.transcript.messages });
		this.#show("waiting");
		this.announcer.say(`${this.agent.name} is answering.`);
		turn.start(address);
	}

	/** What is said of an answer's end, and what stands below it. */
	#ending(state, told, again) {
		if (state === "final") return { words: "The answer is complete.", below: note(summary(told)) };
		if (state === "stopped") return { words: "The answer was stopped.", below: note("Stopped") };
		const until = told.status === 429 ? Date.now() + told.retryAfterSeconds * 1000 : 0;
		this.#limitedUntil = Math.max(this.#limitedUntil, until);
		const ticked = (left) => {
			if (this.state === "limited") this.#show("ready");
			if (!left) this.announcer.say("You can send again.");
		};
		return { words: `${told.what} ${told.action ?? told.why}`, below: panel(told, again, until, ticked) };
	}

	/** The answer that has been written on the server since before the page was loaded again. */
	#goOn(messages) {
		const { question, address, ended } = history.state ?? {};
		if (question?.conversation !== this.id) return;
		const kept = messages.findLast(({ role }) => role === "user")?.content === question.text;
		if (!kept) ui.prompt.value ||= question.text;
		else if (!ended && messages.at(-1).role === "user") this.#ask(question, address);
	}

	/** What there is of a conversation whose first question has not come to the server: it goes back into the prompt. */
	#unsent(failure) {
		const question = history.state?.question;
		if (failure.code !== "not_found" || question?.conversation !== this.id) throw failure;
		return question;
	}

	async #stored(id) {
		const messages = [];
		let agent;
		let cursor;
		for (let page = 0; page < MAX_PAGES && cursor !== null; page++) {
			const known = await this.api.conversation(id, PAGE, cursor);
			messages.push(...known.messages.data);
			cursor = known.messages.next_cursor;
			agent = known.agent;
		}
		return { agent, messages };
	}

	#shown = ({ role, content: text, status }) => {
		const whole = status === "complete";
		const below = whole ? "" : note("This answer is not whole.");
		return { role, text, name: this.#nameOf(role), state: whole ? "final" : "stopped", below };
	};

	#nameOf = (role) => (role === "user" ? "You" : this.agent.name);
	#message = (role, text, state) => new Message({ role, name: this.#nameOf(role), text, state });

	/** Where the user stands with the questions that the agent asks first. */
	#guide(standing) {
		ui.guide.hidden = !standing;
		if (!standing) return;
		const { step, total, done } = standing;
		Object.assign(ui.steps, { max: total, value: step });
		ui.standing.textContent = done ? `All ${total} questions are answered` : `Question ${step + 1} of ${total}`;
	}

	#failed(failure, retry) {
		ui.column.append(panel(failure, retry));
		this.transcript.toEnd();
		this.announcer.say(failure.what);
	}

	#show(state) {
		const left = secondsUntil(this.#limitedUntil);
		this.state = state === "ready" && left > 0 ? "limited" : state;
		const [status, placeholder = `You can send again in ${clockOf(left)}`, announced = ""] = STATES[this.state];
		const busy = this.#turns.has(this.id);
		this.announcer.say(announced);
		ui.status.dataset.state = this.state;
		ui.status.textContent = status;
		ui.prompt.placeholder = placeholder;
		ui.send.hidden = busy;
		ui.send.disabled = this.state === "limited";
		ui.stop.hidden = !busy;
	}
}

function summary({ duration_ms, total_tokens, persisted }) {
	const tokens = total_tokens ? ` · ${total_tokens} tokens` : "";
	return `${(duration_ms / 1000).toFixed(1)} s${tokens}${persisted ? "" : " · not saved on the server"}`;
}
