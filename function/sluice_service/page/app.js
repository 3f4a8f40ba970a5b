// Begins: signs in, then gives the keys and buttons their meaning.

import { apiOf } from "./api.js";
import { Chat } from "./chat.js";
import { ui } from "./dom.js";

// In this tab alone, and gone with it.
const KEY = "sluice.key";
const LONGEST = 8_000; // characters that the server takes
const REFUSED = "This key is not valid here. Check it for missing characters, or ask for a new one.";
const opened = () => location.hash.slice(1);

async function begin(key) {
	const api = apiOf(key);
	const [health, { data }] = await Promise.all([api.health(), api.models()]);
	sessionStorage.setItem(KEY, key);
	const chat = new Chat(api, data, health.features.streaming && "EventSource" in window, ask);
	ui.entrance.hidden = true;
	ui.chat.hidden = false;
	listen(chat);
	chat.open(opened());
	// The chat works without them.
	chat.list.load().catch(() => {});
	ui.prompt.focus();
}

function enter(failure) {
	ui.entrance.hidden = false;
	ui.refused.textContent = failure?.status === 401 ? REFUSED : failure ? `${failure.what} ${failure.action}` : "";
	ui.key.focus();
}

ui.entrance.onsubmit = async (event) => {
	event.preventDefault();
	const key = ui.key.value.trim();
	if (/[^!-~]/.test(key)) return enter({ what: "That is no key.", action: "It has characters that no key has." });
	ui.enter.disabled = true;
	await begin(key).catch(enter);
	ui.enter.disabled = false;
};

function listen(chat) {
	const send = () => {
		const extra = [...ui.prompt.value].length - LONGEST;
		ui.prompt.setCustomValidity(extra > 0 ? `This message is ${extra} characters too long.` : "");
		if (ui.prompt.reportValidity() && chat.send(ui.prompt.value)) ui.prompt.value = "";
		ui.prompt.focus();
	};
	ui.composer.onsubmit = (event) => {
		event.preventDefault();
		send();
	};
	ui.prompt.onkeydown = (event) => {
		if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
		event.preventDefault();
		send();
	};
	ui.stop.onclick = () => chat.stop();
	for (const button of ui.ideas.children) button.onclick = () => chat.send(button.textContent) && ui.prompt.focus();
	ui.fresh.onclick = () => {
		chat.open("", true);
		drawer(false);
		ui.prompt.focus();
	};
	ui.list.addEventListener("click", ({ target }) => target.matches("li > :first-child") && drawer(false));
	ui.menu.onclick = () => drawer(ui.side.dataset.open !== "true");
	const elsewhere = ({ target }) => target.closest("nav, header, dialog") || drawer(false);
	document.addEventListener("click", elsewhere);
	document.addEventListener("focusin", elsewhere);
	ui.leave.onclick = () => {
		sessionStorage.removeItem(KEY);
		location.replace(location.pathname);
	};
	document.onkeydown = ({ key }) => {
		if (key !== "Escape" || ui.dialog.open) return;
		if (ui.side.dataset.open === "true") drawer(false);
		else chat.stop();
	};
	addEventListener("popstate", () => chat.open(opened()));
	addEventListener("pagehide", () => chat.pause());
	// Signed out, the browser may still bring this document back.
	addEventListener("pageshow", () => (sessionStorage.getItem(KEY) ? chat.resume() : location.reload()));
}

/** The conversations, which a narrow screen has no room for beside the chat. */
function drawer(open) {
	ui.side.dataset.open = open;
	ui.menu.ariaExpanded = String(open);
	if (open) ui.fresh.focus();
	else if (ui.side.contains(document.activeElement)) ui.menu.focus();
}

/** A question before something is done; what was typed (or "" where nothing is to be), null for no. */
function ask(title, verb, value) {
	ui.question.textContent = title;
	ui.agree.textContent = verb;
	ui.answer.hidden = value === undefined;
	ui.answer.value = value ?? "";
	ui.dialog.returnValue = "";
	ui.dialog.showModal();
	return new Promise((resolve) => {
		ui.dialog.onclose = () => resolve(ui.dialog.returnValue === "yes" ? ui.answer.value : null);
	});
}

const key = sessionStorage.getItem(KEY);
if (key) begin(key).catch(enter);
else enter();
