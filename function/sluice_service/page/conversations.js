// The list of conversations: opened, renamed, deleted.

import { make, ui } from "./dom.js";

export class Conversations {
	#items = new Map();
	#cursor;
	#current;

	/** `on` has {open(id), deleted(id), failed(failure)}; `ask(title, verb, value)` resolves to what was typed, or null. */
	constructor(api, ask, on) {
		Object.assign(this, { api, ask, on });
		ui.more.onclick = () => this.load().catch(on.failed);
	}

	/** The next page of them. */
	async load() {
		const { data, next_cursor } = await this.api.conversations(this.#cursor);
		for (const each of data) this.#put(each);
		this.#cursor = next_cursor;
		ui.more.hidden = !next_cursor;
	}

	/** It has changed: as the server knows it, and first. */
	async refresh(id) {
		this.#put(await this.api.conversation(id, 1), true);
	}

	mark(id) {
		this.#current = id;
		for (const [each, item] of this.#items) item.firstChild.ariaCurrent = each === id ? "page" : null;
	}

	/** As it is now; what has the focus keeps it. */
	#put({ id, title }, first) {
		const before = this.#items.get(id);
		const focused = [...(before?.children ?? [])].indexOf(document.activeElement);
		// What somebody is about to press stays.
		const item = before?.firstChild.textContent === title ? before : this.#item(id, title);
		if (!before) ui.list.append(item);
		else if (item !== before) before.replaceWith(item);
		if (first && item !== ui.list.firstChild) ui.list.prepend(item);
		this.#items.set(id, item);
		this.mark(this.#current);
		item.children[focused]?.focus();
	}

	#item(id, title) {
		const button = (textContent, act, ariaLabel = null) =>
			make("button", { textContent, ariaLabel, dir: "auto", onclick: () => act().catch(this.on.failed) });
		return make(
			"li",
			{},
			button(title, () => this.on.open(id)),
			button("Rename", () => this.#rename(id, title), `Rename ${title}`),
			button("Delete", () => this.#delete(id, title), `Delete ${title}`),
		);
	}

	async #rename(id, title) {
		const given = await this.ask("Rename the conversation", "Rename", title);
		if (given?.trim()) this.#put(await this.api.rename(id, given.trim()));
	}

	async #delete(id, title) {
		// Isolated: a title may turn the direction of what follows it.
		if ((await this.ask(`Delete “\u2068${title}\u2069” with all its messages?`, "Delete")) === null) return;
		await this.api.delete(id);
		this.#items.get(id).remove();
		this.#items.delete(id);
		if (document.activeElement === document.body) ui.fresh.focus();
		this.on.deleted(id);
	}
}
