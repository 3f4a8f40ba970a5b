// Tells a screen reader of an answer: its begin, its sentences in groups, its end.

const PAUSE_MS = 2_500;
const KEPT = 4;
const SENTENCES = /^[^]*(?:[.!?…:]["')\]*_]*\s|[。！？]|\n)/;
const MARKUP = /[*#`|>~]+|-{3,}|(?<!\w)_+|(?<!_)_+(?!\w)/g;

export class Announcer {
	#heard = "";
	#timer;

	constructor(region) {
		this.region = region;
	}

	/** At once. */
	say(text) {
		const line = document.createElement("p");
		line.textContent = text.replace(MARKUP, "").trim();
		if (line.textContent) this.region.append(line);
		if (this.region.childElementCount > KEPT) this.region.firstChild.remove();
	}

	/** When it has made sentences. */
	hear(text) {
		this.#heard += text;
		this.#timer ??= setTimeout(() => this.#tell(SENTENCES.exec(this.#heard)?.[0] ?? ""), PAUSE_MS);
	}

	/** What was heard is of no interest any more. */
	forget() {
		this.#heard = "";
		this.#tell("");
	}

	/** The rest of what was heard, and this. */
	end(text) {
		this.#tell(this.#heard);
		this.say(text);
	}

	#tell(text) {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#heard = this.#heard.slice(text.length);
		this.say(text);
	}
}
