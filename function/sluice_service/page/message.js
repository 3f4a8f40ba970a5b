// One message. While it is being written it is drawn once a frame, however many pieces come.

import { make } from "./dom.js";
import { GrowingText } from "./markdown.js";

// As many times as long as a drawing took is left for everything else.
const REST = 3;

export class Message {
	#text;
	#frame = 0;
	#restUntil = 0;
	#growing;
	#typing;

	/** `role` is user or assistant; `state` waiting, streaming, final, stopped or failed. `drawn` is called when it grew. */
	constructor({ role, name, text = "", state = "final", below = "" }) {
		const body = make("div", { className: "body" });
		this.element = make("article", { "data-role": role }, make("h2", { textContent: name, tabIndex: -1 }), body);
		this.#text = text;
		this.#growing = new GrowingText(body);
		this.#typing = make("span", { className: "typing", role: "img", ariaLabel: `${name} is answering` });
		this.drawn = () => {};
		if (role === "user") body.textContent = text;
		else this.#growing.show(text);
		this.#show(state);
		this.element.append(below);
	}

	add(piece) {
		this.#text += piece;
		this.#frame ||= requestAnimationFrame((now) => this.#draw(now));
	}

	/** No more will come. */
	finish(state, below) {
		cancelAnimationFrame(this.#frame);
		this.#growing.show(this.#text);
		this.#show(state);
		this.element.append(below);
		this.drawn();
	}

	#draw(now) {
		this.#frame = 0;
		if (now < this.#restUntil) return this.add("");
		this.#show("streaming");
		this.#growing.show(this.#text);
		this.#restUntil = now + (performance.now() - now) * REST;
		this.drawn();
	}

	#show(state) {
		const busy = state === "waiting" || state === "streaming";
		this.element.dataset.state = state;
		this.element.ariaBusy = busy;
		if (!busy) this.#typing.remove();
		else if (!this.#typing.isConnected) this.element.append(this.#typing);
	}
}
