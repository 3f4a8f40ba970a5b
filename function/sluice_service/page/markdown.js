// Markdown to elements: what models write of CommonMark, and GitHub's tables. Raw HTML stays text, an image becomes a link,
// and a link leads to the web, to mail or nowhere.
//
// Deliberate: spans and nesting are bounded, so that no text takes more than linear time; headings have one level, below
// that of the message.

import { make } from "./dom.js";

const MAX_DEPTH = 8;
const INLINE = new RegExp(
	[
		/\\(?<escaped>[!-/:-@[-`{-~])/,
		/(?<!`)(?<ticks>`{1,9})(?!`)(?<code>[^]{1,2000}?)(?<!`)\k<ticks>(?!`)/,
		/!?\[(?<label>(?:[^[\]\\]|\\.){0,500})\]\(\s*<?(?<target>(?:[^\s<>()]|\([^\s<>()]{0,500}\)){1,2000})>?(?:\s+"[^"]{0,500}")?\s*\)/,
		/\b(?<bare>https?:\/\/[^\s<>"'`]{0,2000}[^\s<>"'`.,:;!?)\]}*_~|])/,
		/(?<mark>\*\*|__|~~|\*|(?<![\p{L}\p{N}])_)(?=\S)(?<inner>[^]{0,2000}?[^\s\\])\k<mark>(?:(?<=\*)(?!\*)|(?<=_)(?![\p{L}\p{N}])|(?<=~))/,
		/(?: {2,}|\\)\n/,
	].map((part) => part.source).join("|"),
	"gu",
);
const MARKS = { "**": "strong", __: "strong", "~~": "del", "*": "em", _: "em" };

/** A text that grows, in an element; what of it can no longer change is left alone. */
export class GrowingText {
	#settled = 0; // characters whose elements stay
	#open = [];

	constructor(element) {
		this.element = element;
	}

	/** Show a text that begins with the one before. */
	show(text) {
		const lines = text.slice(this.#settled).split("\n");
		const found = [...blocks(lines)];
		for (const element of this.#open) element.remove();
		this.element.append(...found.map((block) => block.element));
		// A block ends where the next one begins, which takes up to two whole lines to tell.
		const from = found.findLast((block) => block.at + 2 < lines.length)?.at ?? 0;
		this.#open = found.filter((block) => block.at >= from).map((block) => block.element);
		this.#settled += lines.slice(0, from).reduce((sum, line) => sum + line.length + 1, 0);
	}
}

/** Every block: the line at which it begins, and its element. */
function* blocks(lines, depth = 0) {
	for (let at = 0; at < lines.length; ) {
		if (!lines[at].trim()) {
			at++;
			continue;
		}
		const read = (depth < MAX_DEPTH && kindAt(lines, at)) || paragraph;
		const [next, element] = read(lines, at, depth);
		yield { at, element };
		at = next;
	}
}

const nested = (lines, depth) => Array.from(blocks(lines, depth + 1), (block) => block.element);
const block = (tag, ...children) => make(tag, { dir: "auto" }, ...children);

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])\s*(?:\1\s*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^ {0,3}([-*+]|\d{1,9}[.)])(?:\s+|$)/;
const DELIMITER = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

const isTable = (lines, at) =>
	lines[at].includes("|") && DELIMITER.test(lines[at + 1] ?? "") && cells(lines[at]).length === cells(lines[at + 1]).length;

/** What reads the block at a line; each returns the line behind it, and its element. Undefined for a paragraph's line. */
const kindAt = (lines, at) =>
	[[FENCE, fence], [HEADING, heading], [RULE, rule], [QUOTE, quote], [ITEM, list]].find(([form]) => form.test(lines[at]))?.[1] ??
	(isTable(lines, at) ? table : undefined);

function fence(lines, at) {
	const [, mark, language] = FENCE.exec(lines[at]);
	const indent = lines[at].search(/\S/);
	const closes = (line) => line.trim().startsWith(mark) && !line.trim().replaceAll(mark[0], "");
	let end = at + 1;
	while (end < lines.length && !closes(lines[end])) end++;
	const code = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, line.search(/\S|$/)))).join("\n");
	const copy = make("button", { textContent: "Copy", ariaLabel: "Copy code", hidden: !navigator.clipboard });
	copy.onclick = () => navigator.clipboard.writeText(code).then(() => (copy.textContent = "Copied"));
	const text = make("pre", { tabIndex: 0 }, make("code", {}, code));
	return [end + 1, make("div", { className: "code" }, make("div", {}, make("span", {}, language), copy), text)];
}

function heading(lines, at) {
	const [, marks, text = ""] = HEADING.exec(lines[at]);
	const element = block("h3", ...inline(text));
	element.dataset.level = marks.length;
	return [at + 1, element];
}

const rule = (lines, at) => [at + 1, make("hr")];

function quote(lines, at, depth) {
	let end = at;
	while (end < lines.length && QUOTE.test(lines[end])) end++;
	return [end, block("blockquote", ...nested(lines.slice(at, end).map((line) => line.replace(QUOTE, "")), depth))];
}

function list(lines, at, depth) {
	const kind = (line) => ITEM.exec(line)?.[1].at(-1);
	const first = kind(lines[at]);
	const number = parseInt(lines[at], 10);
	const items = [];
	while (at < lines.length && kind(lines[at]) === first && kindAt(lines, at) === list) {
		const end = itemEnd(lines, at);
		const width = ITEM.exec(lines[at])[0].length;
		const rest = lines.slice(at + 1, end).map((line) => line.slice(Math.min(width, line.search(/\S|$/))));
		items.push(make("li", {}, ...nested([lines[at].slice(width), ...rest], depth)));
		at = end;
	}
	const element = block(number >= 0 ? "ol" : "ul", ...items);
	if (number >= 0) element.start = number;
	return [at, element];
}

/** Behind a list's item, and behind the blank lines before another one: its lines are indented, or go on with its text. */
function itemEnd(lines, at) {
	let end = at + 1;
	for (let next = end; next < lines.length; next++) {
		const line = lines[next];
		if (!line.trim()) continue;
		const goesOn = /^(?: {2}|\t)/.test(line) || (next === end && !kindAt(lines, next));
		if (!goesOn) return ITEM.test(line) ? next : end;
		end = next + 1;
	}
	return end;
}

function table(lines, at) {
	const width = cells(lines[at]).length;
	const row = (line, tag) => {
		const texts = [...cells(line), ...Array(width).fill("")].slice(0, width);
		return make("tr", {}, ...texts.map((text) => block(tag, ...inline(text))));
	};
	let end = at + 2;
	while (end < lines.length && lines[end].includes("|")) end++;
	const body = lines.slice(at + 2, end).map((line) => row(line, "td"));
	const whole = make("table", {}, make("thead", {}, row(lines[at], "th")), make("tbody", {}, ...body));
	return [end, make("div", { className: "wide", tabIndex: 0, role: "group", ariaLabel: "Table" }, whole)];
}

const cells = (line) => line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

function paragraph(lines, at) {
	let end = at + 1;
	while (end < lines.length && lines[end].trim() && !kindAt(lines, end)) end++;
	return [end, block("p", ...inline(lines.slice(at, end).join("\n").trim()))];
}

/** Text with its spans, as nodes. */
function inline(text) {
	const nodes = [];
	let done = 0;
	for (const match of text.matchAll(INLINE)) {
		nodes.push(text.slice(done, match.index), span(match[0], match.groups));
		done = match.index + match[0].length;
	}
	return [...nodes, text.slice(done)];
}

function span(source, { escaped, code, label, target, bare, mark, inner }) {
	if (escaped) return escaped;
	if (code) return make("code", {}, code.trim() || code);
	if (mark) return make(MARKS[mark], {}, ...inline(inner));
	const address = target ?? bare;
	return address ? link(address, label || address, source) : make("br");
}

/** A link that shows where it leads; the source as text for an address that is none of the web or of mail. */
function link(address, label, source) {
	const url = URL.canParse(address) ? new URL(address) : {};
	if (!["http:", "https:", "mailto:"].includes(url.protocol)) return source;
	const where = url.host || url.pathname;
	const anchor = make("a", { href: url.href, title: url.href, target: "_blank", rel: "noopener noreferrer" }, label);
	if (!label.includes(where)) anchor.append(make("small", {}, ` (${where})`));
	return anchor;
}
