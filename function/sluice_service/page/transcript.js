// The messages on screen: the last ones, and earlier ones on demand. It follows its end until somebody reads elsewhere.

import { ui } from "./dom.js";
import { Message } from "./message.js";

const SHOWN = 50;
const FOLLOW_MS = 100;
const NEAR_PX = 8;

/** What was stored becomes elements only where it is shown. */
const elementOf = (message) => (message.element ? message : new Message(message)).element;

export class Transcript {
	messages = [];
	#first = 0; // of those on screen
	#follows = true;
	#top = 0;
	#timer = 0;

	constructor() {
		ui.messages.onscroll = () => this.#scrolled();
		ui.earlier.onclick = () => this.#showEarlier();
		ui.newest.onclick = () => this.toEnd();
	}

	/** These instead. */
	show(messages) {
		this.messages = messages;
		this.#first = Math.max(0, messages.length - SHOWN);
		ui.column.replaceChildren(...messages.slice(this.#first).map(elementOf));
		this.toEnd();
	}

	add(message) {
		message.drawn = () => this.#follow();
		this.messages.push(message);
		ui.column.append(message.element);
		while (this.#follows && ui.column.childElementCount > SHOWN) {
			ui.column.firstChild.remove();
			this.#first++;
		}
		this.#follow();
	}

	remove(message) {
		this.messages = this.messages.filter((other) => other !== message);
		message.element.remove();
	}

	toEnd() {
		this.#follows = ui.newest.hidden = true;
		this.#follow();
	}

	#follow() {
		ui.earlier.hidden = !this.#first;
		this.#timer ||= setTimeout(() => {
			this.#timer = 0;
			if (this.#follows) ui.messages.scrollTop = ui.messages.scrollHeight;
		}, FOLLOW_MS);
	}

	#scrolled() {
		const { scrollTop, scrollHeight, clientHeight } = ui.messages;
		const atEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
		this.#follows = ui.newest.hidden = atEnd || (this.#follows && scrollTop >= this.#top);
		this.#top = scrollTop;
	}

	#showEarlier() {
		const { scrollHeight, scrollTop } = ui.messages;
		const from = Math.max(0, this.#first - SHOWN);
		ui.column.prepend(...this.messages.slice(from, this.#first).map(elementOf));
		this.#first = from;
		ui.earlier.hidden = !from;
		ui.column.querySelector("h2").focus({ preventScroll: true });
		ui.messages.scrollTop = scrollTop + ui.messages.scrollHeight - scrollHeight;
	}
}
